package files

import (
	"mime"
	"net/http"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/nearside/nearside/cdn/image"
	"github.com/nearside/nearside/core"
)

const maxExtension = 64 // characters; a longer one is not an extension

// badName is the refusal of a name that no file can have.
var badName = core.Refusal{Kind: core.KindInvalid, ID: "model.file_info.is_valid.name.app_error"}

// cleanName returns the name under which a file is stored: the last element of the client's path,
// for any system's separators, without invisible characters or ones that reverse the reading
// direction (so that "exe.gpj" cannot look like "jpg.exe"), shortened if necessary. A NUL is
// refused, because only an attack has one.
func cleanName(said string) (string, error) {
	if strings.ContainsRune(said, 0) {
		return "", badName
	}
	name := said[strings.LastIndexAny(said, `/\`)+1:]
	name = strings.Map(func(r rune) rune {
		if !core.FitsName(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, "\uFFFD"))
	name = shorten(strings.TrimSpace(name))
	if !core.ValidName(name) || name == "." || name == ".." {
		return "", badName
	}
	return name, nil
}

// shorten removes the middle of a long name, so that the extension stays.
func shorten(name string) string {
	if utf8.RuneCountInString(name) <= core.MaxFileName {
		return name
	}
	ext := path.Ext(name)
	if utf8.RuneCountInString(ext) > maxExtension {
		ext = ""
	}
	stem := []rune(strings.TrimSuffix(name, ext))
	return string(stem[:core.MaxFileName-utf8.RuneCountInString(ext)]) + ext
}

// extensionOf returns what follows the last dot, in lower case.
func extensionOf(name string) string {
	ext := strings.ToLower(strings.TrimPrefix(path.Ext(name), "."))
	if utf8.RuneCountInString(ext) > maxExtension {
		return ""
	}
	return ext
}

// typeOf returns a file's type by its extension, or else by its beginning. It ignores the
// client's type and the system's table of types: the result must be the same at every edge.
func typeOf(name string, head []byte) string {
	if t := types[extensionOf(name)]; t != "" {
		return t
	}
	if t := image.TypeOf(head); t != "" {
		return t
	}
	t, _, err := mime.ParseMediaType(http.DetectContentType(head))
	if err != nil {
		return "application/octet-stream"
	}
	return t
}

// pictures has the types that get a preview.
var pictures = map[string]bool{
	"image/jpeg": true, "image/png": true, "image/gif": true, "image/webp": true, "image/bmp": true, "image/tiff": true,
	"image/avif": true, "image/heic": true, "image/heif": true,
}

var types = map[string]string{
	"7z": "application/x-7z-compressed", "aac": "audio/aac", "apk": "application/vnd.android.package-archive", "avi": "video/x-msvideo",
	"avif": "image/avif", "bin": "application/octet-stream", "bmp": "image/bmp", "bz2": "application/x-bzip2", "c": "text/x-c", "css": "text/css",
	"csv": "text/csv", "dmg": "application/x-apple-diskimage", "doc": "application/msword",
	"docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "eml": "message/rfc822", "epub": "application/epub+zip",
	"exe": "application/vnd.microsoft.portable-executable", "flac": "audio/flac", "gif": "image/gif", "go": "text/x-go", "gz": "application/gzip",
	"heic": "image/heic", "heif": "image/heif", "htm": "text/html", "html": "text/html", "ico": "image/vnd.microsoft.icon", "ics": "text/calendar",
	"jar": "application/java-archive", "java": "text/x-java", "jpeg": "image/jpeg", "jpg": "image/jpeg", "js": "text/javascript",
	"json": "application/json", "log": "text/plain", "m4a": "audio/mp4", "m4v": "video/x-m4v", "markdown": "text/markdown", "md": "text/markdown",
	"mjs": "text/javascript", "mkv": "video/x-matroska", "mov": "video/quicktime", "mp3": "audio/mpeg", "mp4": "video/mp4", "mpeg": "video/mpeg",
	"mpg": "video/mpeg", "odg": "application/vnd.oasis.opendocument.graphics", "odp": "application/vnd.oasis.opendocument.presentation",
	"ods": "application/vnd.oasis.opendocument.spreadsheet", "odt": "application/vnd.oasis.opendocument.text", "oga": "audio/ogg",
	"ogg": "audio/ogg", "ogv": "video/ogg", "opus": "audio/ogg", "pdf": "application/pdf", "png": "image/png",
	"ppt":  "application/vnd.ms-powerpoint",
	"pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation", "ps": "application/postscript",
	"psd": "image/vnd.adobe.photoshop", "py": "text/x-python", "rar": "application/vnd.rar", "rs": "text/x-rust", "rtf": "application/rtf",
	"sh": "application/x-sh", "sql": "application/sql", "svg": "image/svg+xml", "svgz": "image/svg+xml", "tar": "application/x-tar",
	"tgz": "application/gzip", "tif": "image/tiff", "tiff": "image/tiff", "toml": "application/toml", "ts": "text/x-typescript", "txt": "text/plain",
	"wasm": "application/wasm", "wav": "audio/wav", "weba": "audio/webm", "webm": "video/webm", "webp": "image/webp", "woff": "font/woff",
	"woff2": "font/woff2", "xhtml": "application/xhtml+xml", "xls": "application/vnd.ms-excel",
	"xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xml": "text/xml", "xz": "application/x-xz",
	"yaml": "application/yaml", "yml": "application/yaml", "zip": "application/zip", "zst": "application/zstd",
}
