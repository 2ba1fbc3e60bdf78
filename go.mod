module github.com/sundog-mesh/sundog

go 1.26.0

require (
	github.com/andybalholm/brotli v1.2.8 // comparing: bodies compressed with brotli
	github.com/cespare/xxhash/v2 v2.3.0 // the hash of Envoy's rings and tables; comparing: of equal parts
	github.com/dchest/siphash v1.2.3 // the keyed hash that decides which requests are mirrored
	github.com/envoyproxy/go-control-plane/envoy v1.40.0 // Envoy's API: the snapshot is made of it
	github.com/fsnotify/fsnotify v1.10.1 // tells when configuration files change
	github.com/google/cel-go v0.31.0 // expressions that choose which requests are mirrored
	github.com/google/go-cmp v0.7.0 // tests: readable differences
	github.com/klauspost/compress v1.20.3 // comparing: bodies compressed with gzip, deflate and zstd
	github.com/mccutchen/go-httpbin/v2 v2.26.0 // the real httpbin services of the demo
	github.com/nsf/jsondiff v0.0.0-20260207060731-8e8d90c4c0ac // benchmarks: a JSON diff to measure ours beside
	github.com/prometheus/client_golang v1.25.0 // metrics
	github.com/rogpeppe/go-internal v1.16.0 // tests: scripts for the command line
	github.com/spf13/cobra v1.10.2 // the command line
	github.com/spf13/pflag v1.0.10 // flag values of our own for the command line
	github.com/wI2L/jsondiff v0.7.1 // benchmarks: a JSON diff to measure ours beside
	go.uber.org/goleak v1.3.0 // tests: no goroutine is left behind
	go.yaml.in/yaml/v3 v3.0.6 // YAML with line numbers
	golang.org/x/net v0.59.0 // validity of header fields; comparing: HTML; tests: an oracle for the codec
	golang.org/x/sync v0.24.0 // runs the parts of the program together
	golang.org/x/sys v0.49.0 // epoll and sockets
	golang.org/x/term v0.46.0 // is it a terminal, and how wide
	google.golang.org/grpc v1.84.0 // asks servers for their protobuf descriptors
	google.golang.org/protobuf v1.36.12 // the snapshot, and strict checks against descriptors
	istio.io/api v1.31.1 // Istio's types
	k8s.io/api v0.36.1 // Kubernetes' types
	k8s.io/apimachinery v0.36.1 // Kubernetes' metadata and quantities
	k8s.io/client-go v0.36.1 // tests: JSON paths as Argo Rollouts reads them
	pgregory.net/rapid v1.3.0 // tests: properties
	sigs.k8s.io/gateway-api v1.6.3 // Gateway API's types
	sigs.k8s.io/yaml v1.6.0 // tests: YAML as kubectl reads it
)

require github.com/pires/go-proxyproto v0.11.0

require (
	cel.dev/expr v0.25.2 // indirect
	github.com/antlr4-go/antlr/v4 v4.13.1 // indirect
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cncf/xds/go v0.0.0-20260202195803-dba9d589def2 // indirect
	github.com/envoyproxy/protoc-gen-validate v1.3.3 // indirect
	github.com/fxamacker/cbor/v2 v2.9.1 // indirect
	github.com/go-logr/logr v1.4.3 // indirect
	github.com/golang/protobuf v1.5.4 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/json-iterator/go v1.1.12 // indirect
	github.com/modern-go/concurrent v0.0.0-20180306012644-bacd9c7ef1dd // indirect
	github.com/modern-go/reflect2 v1.0.3-0.20250322232337-35a7c28c31ee // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/planetscale/vtprotobuf v0.6.1-0.20240319094008-0393e58bdf10 // indirect
	github.com/prometheus/client_model v0.6.3 // indirect
	github.com/prometheus/common v0.72.0 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	github.com/tidwall/gjson v1.18.0 // indirect
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.1 // indirect
	github.com/tidwall/sjson v1.2.5 // indirect
	github.com/x448/float16 v0.8.4 // indirect
	go.yaml.in/yaml/v2 v2.4.4 // indirect
	golang.org/x/exp v0.0.0-20240823005443-9b4947da3948 // indirect
	golang.org/x/text v0.42.0 // indirect
	golang.org/x/tools v0.49.0 // indirect
	google.golang.org/genproto/googleapis/api v0.0.0-20260720211330-0afa2a65878a // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260720211330-0afa2a65878a // indirect
	gopkg.in/inf.v0 v0.9.1 // indirect
	k8s.io/klog/v2 v2.140.0 // indirect
	k8s.io/kube-openapi v0.0.0-20260501160325-927ab1f70cd6 // indirect
	k8s.io/utils v0.0.0-20260319190234-28399d86e0b5 // indirect
	sigs.k8s.io/json v0.0.0-20250730193827-2d320260d730 // indirect
	sigs.k8s.io/randfill v1.0.0 // indirect
	sigs.k8s.io/structured-merge-diff/v6 v6.4.0 // indirect
)
