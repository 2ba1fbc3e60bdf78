module github.com/sundog-mesh/sundog/test/peers

go 1.26.0

tool github.com/mccutchen/go-httpbin/v2/cmd/go-httpbin

require github.com/mccutchen/go-httpbin/v2 v2.21.0 // indirect
