package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"keyless/handler/localazure"
)

// faultBody is the body of PUT /fault. It says what goes wrong with requests
// to the pool from then on; see [localazure.Fault].
type faultBody struct {
	Status            int    `json:"status"`
	Body              string `json:"body"` // empty: the service's own for that status
	RetryAfterSeconds int    `json:"retryAfterSeconds"`
	DelayMilliseconds int    `json:"delayMilliseconds"`
	CutAfterBytes     int    `json:"cutAfterBytes"` // -1: before the first
	Times             int    `json:"times"`         // 0: until DELETE /fault
}

// setFault serves PUT /fault. It asks for no token: what it does is local. A
// web page cannot call it, since browsers ask first whether they may PUT.
func (e *emulator) setFault(w http.ResponseWriter, r *http.Request) {
	var b faultBody
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&b); err != nil {
		http.Error(w, fmt.Sprintf("the body is not a fault: %v", err), http.StatusBadRequest)
		return
	}
	if b.Status != 0 && (b.Status < 200 || b.Status > 599) || b.RetryAfterSeconds < 0 || b.DelayMilliseconds < 0 || b.CutAfterBytes < -1 || b.Times < 0 {
		http.Error(w, "a number of the fault is out of range", http.StatusBadRequest)
		return
	}
	e.pool.Faults.Set(localazure.Fault{
		Status:     b.Status,
		Body:       b.Body,
		RetryAfter: time.Duration(b.RetryAfterSeconds) * time.Second,
		Delay:      time.Duration(b.DelayMilliseconds) * time.Millisecond,
		CutAfter:   b.CutAfterBytes,
		Times:      b.Times,
	})
	w.WriteHeader(http.StatusNoContent)
}

// clearFault serves DELETE /fault.
func (e *emulator) clearFault(w http.ResponseWriter, _ *http.Request) {
	e.pool.Faults.Clear()
	w.WriteHeader(http.StatusNoContent)
}
