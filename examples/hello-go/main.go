// A small app in Go: the standard library's routes and handlers.
package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"strings"

	"hello-go/wasihttp"
)

const greeting = "Hello, world!\n"

func init() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", hello)
	mux.HandleFunc("POST /words", words)
	wasihttp.Serve(mux)
}

// The server calls the exported handler; there is nothing to start.
func main() {}

func hello(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("content-type", "text/plain")
	io.WriteString(w, greeting)
}

func words(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Text *string `json:"text"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"error": "the body is not JSON: " + err.Error()})
		return
	}
	if body.Text == nil {
		answer(w, http.StatusUnprocessableEntity, map[string]string{"error": `send {"text": "some words"}`})
		return
	}
	found := strings.Fields(*body.Text)
	longest := ""
	for _, word := range found {
		if len(word) > len(longest) {
			longest = word
		}
	}
	log.Printf("counted %d words", len(found))
	answer(w, http.StatusOK, map[string]any{"words": len(found), "longest": longest})
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("content-type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(value)
}
