// Package gatewayapi turns the Gateway API's objects into the shapes of
// Istio's, which translate takes.
//
// HTTPRoutes, Gateways and ReferenceGrants go in. Listeners come out, each an
// Istio server, and Routers: the routes for some hosts of a listener or of the
// mesh, of all HTTPRoutes that are attached there, in the order in which the
// Gateway API wants them tried. A Rule keeps the HTTPRoute that it is from, so
// that what is shown is the user's own object. What only shows when objects are
// seen together (a parent, a Service or a grant that is not there) is a Problem.
//
// The package does no I/O and changes nothing that it is given. It knows
// nothing of Envoy.
package gatewayapi
