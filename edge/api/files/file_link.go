package files

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/access"
	"github.com/nearside/nearside/edge/session"
)

// maxLinkToken is longer than any token; longer ones are refused without hashing them.
const maxLinkToken = 128

var noLinks = core.Refusal{Kind: core.KindNotBuilt, ID: "api.file.get_public_link.disabled.app_error"}

var wrongLink = core.Refusal{Kind: core.KindInvalid, ID: "api.file.get_file.public_invalid.app_error"}

// linkToken is the token in a file's public link. It is derived from the session's token: so
// repeating the request gives the same link, and the log, which has only the token's hash,
// contains no link. It also depends on the time when links last expired, so the link after that
// is another one.
func linkToken(session string, id core.FileID, expired int64) string {
	mac := hmac.New(sha256.New, []byte(session))
	mac.Write([]byte("nearside file link\x00" + id.String() + "\x00" + strconv.FormatInt(expired, 10)))
	return hex.EncodeToString(mac.Sum(nil))
}

// linkHash is the hash that the log has of a token.
func linkHash(token string) core.BlobID { return sha256.Sum256([]byte(token)) }

// public is a policy with the condition that public links are enabled.
func public[T any](s *Service, p api.Policy[T]) api.Policy[T] {
	return kept(s, api.If(func(*api.Call) error {
		if !s.cfg.PublicLinks {
			return noLinks
		}
		return nil
	}, p))
}

// shareable allows users who may make a public link to the path's file.
func (s *Service) shareable() api.Policy[core.File] {
	return public(s, api.Allow("may share file_id", func(c *api.Call) (core.File, error) {
		f, err := s.fileOfPath(c)
		if err != nil {
			return f, err
		}
		s.Placed(c, f.ID, f.ChannelID)
		ch, err := s.Channel(c, f.ChannelID)
		if err != nil {
			return f, err
		}
		return f, access.Granted(s.MayInChannel(c, ch, authz.GetPublicLink))
	}))
}

func (s *Service) fileLink(c *api.Call, f core.File) (map[string]string, error) {
	token, err := s.share(c, f.ID)
	return map[string]string{"link": s.siteURL(c) + "/files/" + f.ID.String() + "/public?h=" + token}, err
}

// share returns the token of a valid link. If links expire at the same moment, the token must be
// a new one, so it tries once more.
func (s *Service) share(c *api.Call, id core.FileID) (string, error) {
	for range 2 {
		expired, err := s.Read.LinksExpiredAt(c)
		if err != nil {
			return "", err
		}
		token := linkToken(c.Token, id, expired)
		if good, err := s.linked(c, id, token); good || err != nil {
			return token, err
		}
		if err := c.Propose(&command.ShareFile{FileID: id, Link: linkHash(token)}, nil); err != nil {
			return "", err
		}
		if good, err := s.linked(c, id, token); good || err != nil {
			return token, err
		}
	}
	return "", core.E(core.KindUnavailable, "")
}

func (s *Service) linked(c *api.Call, id core.FileID, token string) (bool, error) {
	got, ok, err := s.Read.LinkedFile(c, linkHash(token))
	return ok && got == id, err
}

// siteURL is the deployment's address, as far as it is known.
func (s *Service) siteURL(c *api.Call) string {
	if u := s.cfg.SiteURL; u != "" {
		return u
	}
	scheme := "http"
	if session.Secure(c.Request) {
		scheme = "https"
	}
	return scheme + "://" + c.Request.Host
}

// byLink allows callers with a link to the path's file.
func (s *Service) byLink() api.Policy[core.File] {
	return public(s, api.AllowAnybody("who has a link to file_id", func(c *api.Call) (core.File, error) {
		id, err := api.PathID[core.File](c, "file_id")
		if err != nil {
			return core.File{}, err
		}
		token := c.Query("h")
		if token == "" || len(token) > maxLinkToken {
			return core.File{}, wrongLink
		}
		good, err := s.linked(c, id, token)
		if err == nil && !good && c.CaughtUpWithHome("link "+token) {
			good, err = s.linked(c, id, token)
		}
		switch {
		case err != nil:
			return core.File{}, err
		case !good:
			return core.File{}, wrongLink
		}
		f, err := s.file(c, id)
		if err == nil && (f.ID.IsZero() || f.DeleteAt != 0) {
			err = noFile
		}
		return f, err
	}))
}

// publicFile answers anybody with a link. The bytes always come from here, also if others are
// redirected to the object store: its address should not be revealed to strangers.
func (s *Service) publicFile(c *api.Call, f core.File) (api.Answer, error) {
	return s.fileDownload(c, f, f.Content, servedType(f.MimeType)), nil
}

// expireLinks invalidates all existing public links. This operation is our own: on other servers
// one changes a key in the configuration.
func (s *Service) expireLinks(c *api.Call, _ core.User) (api.Done, error) {
	return api.Done{}, c.Propose(&command.ExpireLinks{}, nil)
}
