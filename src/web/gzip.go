package web

import (
	"compress/gzip"
	"io"
	"net/http"
	"sync"
)

// packed is a ResponseWriter that compresses what is written, unless that is an error or the like.
type packed struct {
	http.ResponseWriter
	z     *gzip.Writer
	wrote bool
}

var packers = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is one that there is
	}
	return z
}}

// WriteHeader implements http.ResponseWriter.
func (p *packed) WriteHeader(status int) {
	p.wrote = true
	if status == http.StatusOK {
		p.Header().Set("Content-Encoding", "gzip")
		p.Header().Set("Vary", "Accept-Encoding")
		p.Header().Del("Content-Length")
		p.z = packers.Get().(*gzip.Writer)
		p.z.Reset(p.ResponseWriter)
	}
	p.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (p *packed) Write(b []byte) (int, error) {
	if !p.wrote {
		if p.Header().Get("Content-Type") == "" {
			p.Header().Set("Content-Type", http.DetectContentType(b))
		}
		p.WriteHeader(http.StatusOK)
	}
	if p.z == nil {
		return p.ResponseWriter.Write(b)
	}
	return p.z.Write(b)
}

func (p *packed) close() {
	if p.z != nil {
		_ = p.z.Close()
		packers.Put(p.z)
	}
}
