// Package export_wasi_http_incoming_handler is what the generated code calls: the only file here that is written by hand.
package export_wasi_http_incoming_handler

import types "hello-go/bindings/imports/wasi_http_types"

// Handle answers one request. Whoever serves sets it.
var Handle func(request *types.IncomingRequest, responseOut *types.ResponseOutparam)
