// Package proxy is the data plane: it binds the listeners of an
// envoy.Snapshot, serves HTTP on their connections, forwards each request to
// the endpoint that its route picks, starts the copies that its mirror
// policies ask for, and hands the finished exchanges to a sink.
//
// Apply compiles a whole snapshot off the event loops and swaps one pointer;
// a request holds one generation from its head to its end. The package knows
// nothing of Istio, YAML or Kubernetes.
package proxy
