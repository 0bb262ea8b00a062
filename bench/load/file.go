package load

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// fileTimeout bounds one transfer of a file.
const fileTimeout = 10 * time.Minute

// files is the client of file transfers: as many connections as there are transfers at once.
var files = &http.Client{Timeout: fileTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true, ReadBufferSize: 256 << 10}}

// File is what a server answers to an upload.
type File struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// Transfer is how a download went.
type Transfer struct {
	FirstByte, Took time.Duration // from the request's start
	Bytes           int64
	SHA256          [sha256.Size]byte
}

// request sends a request and gives the answer if its status is below 300; the caller closes its Body.
func (p Person) request(ctx context.Context, method, path string, body io.Reader, size int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.Base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+p.Token)
	if body != nil {
		req.ContentLength = size
		req.Header.Set("Content-Type", "application/octet-stream")
	}
	answer, err := files.Do(req)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode < 300 {
		return answer, nil
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, 64<<10)) // the status says enough
	problem := &Problem{What: method + " " + path}
	if json.Unmarshal(said, problem) != nil || problem.Status == 0 {
		problem.Status, problem.Text = answer.StatusCode, string(said)
	}
	return nil, problem
}

// call is request with an answer of JSON.
func (p Person) call(ctx context.Context, method, path string, body io.Reader, size int64, out any) (int, error) {
	answer, err := p.request(ctx, method, path, body, size)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNoContent {
		return answer.StatusCode, nil
	}
	return answer.StatusCode, json.NewDecoder(answer.Body).Decode(out)
}

// Upload sends a file in one request. When it returns without an error, it was acknowledged.
func (p Person) Upload(ctx context.Context, channel, name string, body io.Reader, size int64) (File, error) {
	var made struct {
		Infos []File `json:"file_infos"`
	}
	query := url.Values{"channel_id": {channel}, "filename": {name}}
	if _, err := p.call(ctx, http.MethodPost, "/api/v4/files?"+query.Encode(), body, size, &made); err != nil {
		return File{}, err
	}
	if len(made.Infos) != 1 || made.Infos[0].Size != size {
		return File{}, fmt.Errorf("upload of %d bytes: the answer is %+v", size, made)
	}
	return made.Infos[0], nil
}

// BeginUpload begins an upload of several requests and gives its id.
func (p Person) BeginUpload(ctx context.Context, channel, name string, size int64) (string, error) {
	body, err := json.Marshal(map[string]any{"channel_id": channel, "filename": name, "file_size": size})
	if err != nil {
		return "", err
	}
	var made struct{ ID string }
	_, err = p.call(ctx, http.MethodPost, "/api/v4/uploads", bytes.NewReader(body), int64(len(body)), &made)
	return made.ID, err
}

// UploadOffset asks how much of an upload has arrived.
func (p Person) UploadOffset(ctx context.Context, id string) (int64, error) {
	var u struct {
		Offset int64 `json:"file_offset"`
	}
	_, err := p.call(ctx, http.MethodGet, "/api/v4/uploads/"+id, nil, 0, &u)
	return u.Offset, err
}

// ContinueUpload sends more of an upload, and gives the file once it is complete.
func (p Person) ContinueUpload(ctx context.Context, id string, part []byte) (File, bool, error) {
	var made File
	status, err := p.call(ctx, http.MethodPost, "/api/v4/uploads/"+id, bytes.NewReader(part), int64(len(part)), &made)
	return made, err == nil && status == http.StatusCreated, err
}

// Post posts a message with files.
func (p Person) Post(ctx context.Context, channel, message string, fileIDs ...string) (string, error) {
	var made struct{ ID string }
	c := p.Conn()
	defer c.Close()
	_, err := c.Call(ctx, http.MethodPost, "posts", map[string]any{"channel_id": channel, "message": message, "file_ids": fileIDs}, &made)
	return made.ID, err
}

// Download reads a file. The server must send as many bytes as it announces.
func (p Person) Download(ctx context.Context, id string) (Transfer, error) {
	began := time.Now()
	answer, err := p.request(ctx, http.MethodGet, "/api/v4/files/"+id, nil, 0)
	if err != nil {
		return Transfer{}, err
	}
	defer answer.Body.Close()
	t := Transfer{}
	h, first := sha256.New(), make([]byte, 1)
	if _, err := io.ReadFull(answer.Body, first); err != nil && !errors.Is(err, io.EOF) {
		return t, fmt.Errorf("read file: %w", err)
	}
	t.FirstByte = time.Since(began)
	h.Write(first)
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, answer.Body, make([]byte, 256<<10))
	t.Bytes, t.Took = n+1, time.Since(began)
	copy(t.SHA256[:], h.Sum(nil))
	if err == nil && t.Bytes != answer.ContentLength {
		err = fmt.Errorf("%d bytes of %d", t.Bytes, answer.ContentLength)
	}
	if err != nil {
		return t, fmt.Errorf("read file: %w", err)
	}
	return t, nil
}

// Drain reads the answer of an address and discards it, so that the reader costs little CPU.
func Drain(ctx context.Context, address, token string, buffer []byte) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := files.Do(req)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 0, errors.New(strings.TrimSpace(address + ": " + strconv.Itoa(answer.StatusCode)))
	}
	return io.CopyBuffer(struct{ io.Writer }{io.Discard}, answer.Body, buffer)
}
