package assets

import (
	"path"
	"strings"
)

// kind is a file's type and whether it is worth compressing. It comes from a fixed table, because
// the system's table differs between machines.
type kind struct {
	mime  string
	packs bool // worth compressing
}

func kindOf(name string) kind {
	if k, ok := kinds[strings.ToLower(path.Ext(name))]; ok {
		return k
	}
	return kind{"application/octet-stream", false}
}

var kinds = map[string]kind{
	".html":        {"text/html; charset=utf-8", true},
	".js":          {"text/javascript; charset=utf-8", true},
	".mjs":         {"text/javascript; charset=utf-8", true},
	".css":         {"text/css; charset=utf-8", true},
	".json":        {"application/json", true},
	".map":         {"application/json", true},
	".webmanifest": {"application/manifest+json", true},
	".svg":         {"image/svg+xml", true},
	".txt":         {"text/plain; charset=utf-8", true},
	".xml":         {"application/xml", true},
	".wasm":        {"application/wasm", true},
	".ttf":         {"font/ttf", true},
	".otf":         {"font/otf", true},
	".eot":         {"application/vnd.ms-fontobject", true},
	".ico":         {"image/vnd.microsoft.icon", true},
	".woff":        {"font/woff", false},
	".woff2":       {"font/woff2", false},
	".png":         {"image/png", false},
	".jpg":         {"image/jpeg", false},
	".jpeg":        {"image/jpeg", false},
	".gif":         {"image/gif", false},
	".webp":        {"image/webp", false},
	".avif":        {"image/avif", false},
	".mp3":         {"audio/mpeg", false},
	".ogg":         {"audio/ogg", false},
	".wav":         {"audio/wav", false},
	".mp4":         {"video/mp4", false},
	".webm":        {"video/webm", false},
	".pdf":         {"application/pdf", false},
}
