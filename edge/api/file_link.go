package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/authz"
	"github.com/nearside/nearside/core/command"
)

// maxLinkToken is more than a token has; longer ones are not worth a hash.
const maxLinkToken = 128

func noLinks() *core.Error {
	return core.E(core.KindNotBuilt, "Public links have been disabled.").WithID("api.file.get_public_link.disabled.app_error")
}

func wrongLink() *core.Error {
	return core.E(core.KindInvalid, "The public link does not appear to be valid.").WithID("api.file.get_file.public_invalid.app_error")
}

// linkToken is what a public link of a file proves itself by. It follows from the session's
// token, so that asking again gives the same link and the log, which has only the token's hash,
// gives none; and from when links last expired, so that the next one is another.
func linkToken(session string, id core.FileID, expired int64) string {
	mac := hmac.New(sha256.New, []byte(session))
	mac.Write([]byte("nearside file link\x00" + id.String() + "\x00" + strconv.FormatInt(expired, 10)))
	return hex.EncodeToString(mac.Sum(nil))
}

// linkHash is what the log knows of a token.
func linkHash(token string) core.BlobID { return sha256.Sum256([]byte(token)) }

func (a *API) fileLink(c *call) error {
	if err := c.needFiles(); err != nil {
		return err
	}
	if !a.cfg.Files.PublicLinks {
		return noLinks()
	}
	f, err := c.readableFile()
	if err != nil {
		return err
	}
	ch, err := a.facts.channel(c.ctx, f.ChannelID)
	if err == nil {
		err = granted(c.mayInChannel(ch, authz.GetPublicLink))
	}
	if err != nil {
		return err
	}
	token, err := a.share(c, ch.TeamID, f.ID)
	if err != nil {
		return err
	}
	return c.ok(map[string]string{"link": c.siteURL() + "/files/" + f.ID.String() + "/public?h=" + token})
}

// share gives the token of a link that works. When links expire at the same moment the token
// has to be another: then once more.
func (a *API) share(c *call, team core.TeamID, id core.FileID) (string, error) {
	for range 2 {
		expired, err := a.cfg.Read.LinksExpiredAt(c.ctx)
		if err != nil {
			return "", err
		}
		token := linkToken(c.token, id, expired)
		if good, err := a.linked(c, id, token); good || err != nil {
			return token, err
		}
		if err := c.propose(team, &command.ShareFile{FileID: id, Link: linkHash(token)}, nil); err != nil {
			return "", err
		}
		if good, err := a.linked(c, id, token); good || err != nil {
			return token, err
		}
	}
	return "", core.E(core.KindUnavailable, "")
}

func (a *API) linked(c *call, id core.FileID, token string) (bool, error) {
	got, ok, err := a.cfg.Read.LinkedFile(c.ctx, linkHash(token))
	return ok && got == id, err
}

// siteURL is where clients find this deployment, as far as is known.
func (c *call) siteURL() string {
	if u := c.api.cfg.SiteURL; u != "" {
		return strings.TrimRight(u, "/")
	}
	scheme := "http"
	if c.r.TLS != nil || strings.EqualFold(c.r.Header.Get("X-Forwarded-Proto"), "https") {
		scheme = "https"
	}
	return scheme + "://" + c.r.Host
}

// publicFile answers anybody who has a link. The bytes come from here even when others are sent
// to the object store: a link is opened by strangers, whom that store's address does not concern.
func (a *API) publicFile(c *call) error {
	if err := c.needFiles(); err != nil {
		return err
	}
	if !a.cfg.Files.PublicLinks {
		return noLinks()
	}
	id, err := pathID[core.File](c, "file_id")
	if err != nil {
		return err
	}
	token := c.query("h")
	if token == "" || len(token) > maxLinkToken {
		return wrongLink()
	}
	good, err := a.linked(c, id, token)
	if err == nil && !good && c.caughtUpWithHome("link "+token) {
		good, err = a.linked(c, id, token)
	}
	switch {
	case err != nil:
		return err
	case !good:
		return wrongLink()
	}
	f, err := a.facts.file(c.ctx, id)
	if err == nil && (f.ID.IsZero() || f.DeleteAt != 0) {
		err = noFile()
	}
	if err != nil {
		return err
	}
	c.download = c.fileDownload(f, f.Content, servedType(f.MimeType))
	return nil
}

// expireLinks makes every public link worthless that anybody has. It is our own operation:
// elsewhere one rotates a key in the configuration.
func (a *API) expireLinks(c *call) error {
	if err := c.need(authz.ManageSystem); err != nil {
		return err
	}
	if err := c.propose(core.TeamID{}, &command.ExpireLinks{}, nil); err != nil {
		return err
	}
	return c.done()
}
