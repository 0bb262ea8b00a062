// Package files is the API's area for files: uploads, searches, downloads, and the pictures of
// users.
//
// Large and slow bodies have no total time limit, only one for progress (incoming.go). An upload
// is first written to a spool file without a name (spool.go) and checked as a whole. Then its
// bytes are stored, and only after that the file is proposed. An upload of several requests
// (upload_session.go) is stored and proposed part by part, so that any edge can continue it.
//
// It imports edge/api and edge/api/access, and no other area. A Service is safe for concurrent
// use, and starts nothing.
package files

import (
	"log/slog"
	"time"

	"github.com/nearside/nearside/cdn"
	"github.com/nearside/nearside/cdn/image"
	"github.com/nearside/nearside/cdn/scan"
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/event"
	"github.com/nearside/nearside/edge"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/access"
	"github.com/nearside/nearside/edge/hot"
	"github.com/nearside/nearside/edge/rate"
)

// Bounds of the caches.
const (
	filesKept   = 50_000
	damagedKept = 1024
)

// DefaultBytes is the default size limit of a file.
const DefaultBytes = 100 << 20

// Config configures the storage of files and their limits. The zero value of each optional field
// means its documented default.
type Config struct {
	Access      *access.Access // required
	Blobs       edge.Blobs     // the store of the bytes; default: none, and operations on files answer 501
	Spool       string         // directory for arriving uploads; default: the system's temporary directory
	MaxBytes    int64          // of one file; default DefaultBytes
	Quota       core.Quota     // of stored bytes; home has the last word; default: no limit
	PublicLinks bool           // users may make links that need no session
	SiteURL     string         // the deployment's address for clients; default: the one in the request
	Signer      cdn.Signer     // redirects readers to the object store by signed URLs; default: bytes come from here
	Scanner     scan.Scanner   // scans every upload; default: none
	Logger      *slog.Logger   // default: discard
}

// Service answers the operations of the area.
type Service struct {
	*access.Access
	cfg      Config
	log      *slog.Logger
	places   api.Cache[core.FileID, struct{}, core.ChannelID] // of posted files, whose channel never changes
	files    api.Cache[core.ChannelID, core.FileID, core.File]
	pictures *image.Maker
	initials *hot.Cache[core.UserID, string, []byte] // drawn pictures, by user and username
	damaged  *hot.Misses[core.BlobID]                // damaged blobs that were logged recently

	gate      *gate
	downloads *places // running large ones
	spools    *spooler
	transfers *transfers
	searching chan struct{} // a token for each running search
}

// New makes a Service.
func New(cfg Config) *Service {
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = DefaultBytes
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	local := cfg.Access.Local
	return &Service{
		Access: cfg.Access, cfg: cfg, log: cfg.Logger,
		places: api.Keep[core.FileID, struct{}, core.ChannelID](local, "file_places", filesKept, nil),
		files: api.Keep[core.ChannelID, core.FileID, core.File](local, "files", filesKept, nil,
			api.DropOn(event.PostsChanged.PostsChanged), api.DropOn(event.ChannelChanged.ChannelChanged)),
		pictures: image.New(), initials: hot.New[core.UserID, string](local.Caches, "initials", initialsBytes, func(png []byte) int64 { return int64(len(png)) }),
		damaged: hot.NewMisses[core.BlobID](damagedKept, time.Hour),
		gate:    newGate(), downloads: newPlaces(sendsOfUser, sendsOfEdge, downloadsOfUserUsed, downloadsBusy), spools: &spooler{dir: cfg.Spool, free: freeBytes},
		transfers: newTransfers(), searching: make(chan struct{}, maxSearches),
	}
}

// Routes returns the operations of the area.
func (s *Service) Routes() []api.Route {
	var (
		signedIn = kept(s, api.SignedIn)
		readable = s.readable()
	)
	return []api.Route{
		api.Post("/files", signedIn, s.uploadFiles).Created().Counts(rate.Upload),
		api.Post("/uploads", signedIn, api.Body(s.createUpload)).Created().Flows(),
		api.Get("/uploads/{upload_id}", s.ours(), s.getUpload).Flows(),
		api.Post("/uploads/{upload_id}", s.oursOrMade(), s.uploadData).Counts(rate.Upload),
		api.Get("/users/{user_id}/uploads", kept(s, access.Oneself), s.listUploads),

		api.Get("/files/{file_id}", readable, s.getFile).Flows(),
		api.Get("/files/{file_id}/thumbnail", readable, s.fileThumbnail).Flows(),
		api.Get("/files/{file_id}/preview", readable, s.filePreview).Flows(),
		api.Get("/files/{file_id}/link", s.shareable(), s.fileLink),
		api.Get("/files/{file_id}/info", readable, s.fileInfo),
		api.Get("/files/{file_id}/public", s.byLink(), s.publicFile).AtRoot().Flows(),
		api.Post("/files/links/expire", access.SystemRole(authz.ManageSystem), s.expireLinks),
		api.Post("/files/search", api.SignedIn, s.searchFiles).Counts(rate.Search),
		api.Post("/teams/{team_id}/files/search", s.PathTeam(authz.ViewTeam), s.searchFilesOfTeam).Counts(rate.Search),
		api.Get("/posts/{post_id}/files/info", s.readablePost(), s.filesOfPost),

		api.Get("/users/{user_id}/image", s.PathUser(), s.userImage).Flows(),
		api.Post("/users/{user_id}/image", access.OneselfOrEditor, s.setUserImage).Counts(rate.Picture),
		api.Delete("/users/{user_id}/image", access.OneselfOrEditor, s.deleteUserImage),
		api.Get("/users/{user_id}/image/default", s.PathUser(), s.defaultUserImage),
	}
}
