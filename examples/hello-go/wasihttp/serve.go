// Package wasihttp serves a handler of net/http over wasi:http.
package wasihttp

import (
	"fmt"
	"io"
	"net/http"

	export "hello-go/bindings/exports/export_wasi_http_incoming_handler"
	_ "hello-go/bindings/exports/wit_exports"
	types "hello-go/bindings/imports/wasi_http_types"
	"hello-go/bindings/imports/wasi_io_streams"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

// The most that one blocking write of wasi:io takes.
const writeBytes = 4096

var methods = map[uint8]string{
	types.Method_Get: "GET", types.Method_Head: "HEAD", types.Method_Post: "POST", types.Method_Put: "PUT",
	types.Method_Delete: "DELETE", types.Method_Connect: "CONNECT", types.Method_Options: "OPTIONS",
	types.Method_Trace: "TRACE", types.Method_Patch: "PATCH",
}

// Serve answers requests with this handler.
func Serve(handler http.Handler) {
	export.Handle = func(incoming *types.IncomingRequest, out *types.ResponseOutparam) {
		request, err := read(incoming)
		writer := &writer{out: out, header: http.Header{}}
		if err != nil {
			http.Error(writer, err.Error(), http.StatusBadRequest)
		} else {
			handler.ServeHTTP(writer, request)
		}
		writer.finish()
	}
}

func read(incoming *types.IncomingRequest) (*http.Request, error) {
	method := incoming.Method()
	name, known := methods[method.Tag()]
	if !known {
		name = method.Other()
	}
	body := &reader{stream: incoming.Consume().Ok().Stream().Ok()}
	request, err := http.NewRequest(name, incoming.PathWithQuery().SomeOr("/"), body)
	if err != nil {
		return nil, err
	}
	request.Host = incoming.Authority().SomeOr("")
	for _, field := range incoming.Headers().Entries() {
		request.Header.Add(field.F0, string(field.F1))
	}
	return request, nil
}

type reader struct {
	stream *wasi_io_streams.InputStream
	rest   []byte
}

func (r *reader) Read(into []byte) (int, error) {
	if len(r.rest) == 0 {
		read := r.stream.BlockingRead(uint64(max(len(into), 1)))
		if read.IsErr() {
			if err := read.Err(); err.Tag() != wasi_io_streams.StreamError_Closed {
				return 0, io.ErrUnexpectedEOF
			}
			return 0, io.EOF
		}
		r.rest = read.Ok()
	}
	count := copy(into, r.rest)
	r.rest = r.rest[count:]
	return count, nil
}

func (r *reader) Close() error { return nil }

type writer struct {
	out    *types.ResponseOutparam
	header http.Header
	body   *types.OutgoingBody
	stream *wasi_io_streams.OutputStream
}

func (w *writer) Header() http.Header { return w.header }

func (w *writer) WriteHeader(status int) {
	if w.body != nil {
		return
	}
	fields := types.MakeFields()
	for name, values := range w.header {
		for _, value := range values {
			fields.Append(name, []byte(value))
		}
	}
	response := types.MakeOutgoingResponse(fields)
	response.SetStatusCode(uint16(status))
	w.body = response.Body().Ok()
	types.ResponseOutparamSet(w.out, wit.Ok[*types.OutgoingResponse, types.ErrorCode](response))
	w.stream = w.body.Write().Ok()
}

func (w *writer) Write(content []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	for sent := 0; sent < len(content); sent += writeBytes {
		piece := content[sent:min(sent+writeBytes, len(content))]
		if w.stream.BlockingWriteAndFlush(piece).IsErr() {
			return sent, fmt.Errorf("the client has left")
		}
	}
	return len(content), nil
}

func (w *writer) finish() {
	w.WriteHeader(http.StatusOK)
	w.stream.Drop()
	types.OutgoingBodyFinish(w.body, wit.None[*types.Fields]())
}
