package api

import (
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/edge/parse"
)

func (a *API) createPost(c *call) error {
	var in core.Post
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.ChannelID.IsZero() {
		return badParam("channel_id")
	}
	said := parse.Parse(in.Message)
	p := core.Post{
		ID: core.NewID[core.Post](time.Now()), ChannelID: in.ChannelID, RootID: in.RootID, Message: in.Message, Type: in.Type,
		Props: in.Props, Hashtags: said.Hashtags, PendingPostID: in.PendingPostID, FileIDs: in.FileIDs,
	}
	if err := checkPost(&p); err != nil {
		return err
	}
	ch, err := a.facts.channel(c.ctx, p.ChannelID)
	if err != nil {
		return err
	}
	cmd := &command.CreatePost{Post: p, Mentions: said.Mentions, SetOnline: c.query("set_online") == "" || c.flag("set_online")}
	var out core.Post
	if err := c.propose(ch.TeamID, cmd, &out); err != nil {
		return err
	}
	if len(out.FileIDs) == 0 {
		return c.created(out) // a new post has nothing else to be joined with
	}
	if out, err = a.cfg.Read.Join(c.ctx, out); err != nil {
		return err
	}
	return c.created(out)
}

// checkPost refuses what no server would keep, before it becomes a proposal.
func checkPost(p *core.Post) error {
	if len(p.Props) > 0 && len(mustJSON(p.Props)) > core.MaxPropsRunes {
		return badParam("props")
	}
	return p.Check()
}

func (a *API) getPost(c *call) error {
	return c.list(c.readablePost())
}

// editedPost gives the post of the path for a change that is not decided here.
func (c *call) editedPost() (core.Post, core.TeamID, error) {
	id, err := c.postID()
	if err != nil {
		return core.Post{}, core.TeamID{}, err
	}
	return c.editedPostByID(id)
}

func (c *call) editedPostByID(id core.PostID) (core.Post, core.TeamID, error) {
	p, err := c.readablePostByID(id)
	if err != nil {
		return p, core.TeamID{}, err
	}
	ch, err := c.api.facts.channel(c.ctx, p.ChannelID)
	return p, ch.TeamID, err
}

// postPatch is what clients may change of a post.
type postPatch struct {
	ID       *core.PostID    `json:"id"`
	Message  *string         `json:"message"`
	Props    *map[string]any `json:"props"`
	IsPinned *bool           `json:"is_pinned"`
	FileIDs  *[]core.FileID  `json:"file_ids"`
}

func (a *API) patchPost(c *call) error {
	p, team, err := c.editedPost()
	if err != nil {
		return err
	}
	var in postPatch
	if err := c.decode(&in); err != nil {
		return err
	}
	return a.change(c, p, team, in)
}

// updatePost is patchPost for clients that send the whole post, with its id.
func (a *API) updatePost(c *call) error {
	p, team, err := c.editedPost()
	if err != nil {
		return err
	}
	var in postPatch
	if err := c.decode(&in); err != nil {
		return err
	}
	if in.ID == nil || *in.ID != p.ID {
		return badParam("id")
	}
	return a.change(c, p, team, in)
}

func (a *API) change(c *call, p core.Post, team core.TeamID, in postPatch) error {
	cmd := &command.PatchPost{
		PostID: p.ID, HistoryID: core.NewID[core.Post](time.Now()), Message: in.Message, Props: in.Props, IsPinned: in.IsPinned,
		FileIDs: in.FileIDs,
	}
	if in.Message != nil {
		tags := parse.Parse(*in.Message).Hashtags
		p.Message, p.Hashtags, cmd.Hashtags = *in.Message, tags, &tags
	}
	if in.Props != nil {
		p.Props = *in.Props
	}
	if in.FileIDs != nil {
		p.FileIDs = *in.FileIDs
	}
	if err := checkPost(&p); err != nil {
		return err
	}
	var out core.Post
	if err := c.propose(team, cmd, &out); err != nil {
		return err
	}
	return c.list(a.cfg.Read.Join(c.ctx, out))
}

func (a *API) deletePost(c *call) error {
	p, team, err := c.editedPost()
	if err != nil {
		return err
	}
	if c.flag("permanent") {
		return notBuilt("permanent deletion of posts")
	}
	if err := c.propose(team, &command.DeletePost{PostID: p.ID}, nil); err != nil {
		return err
	}
	return c.done()
}

func (a *API) pinPost(c *call) error   { return a.setPinned(c, true) }
func (a *API) unpinPost(c *call) error { return a.setPinned(c, false) }

func (a *API) setPinned(c *call, pinned bool) error {
	p, team, err := c.editedPost()
	if err != nil {
		return err
	}
	if p.IsPinned != pinned {
		if err := c.propose(team, &command.PatchPost{PostID: p.ID, IsPinned: &pinned}, nil); err != nil {
			return err
		}
	}
	return c.done()
}

func (a *API) postHistory(c *call) error {
	p, err := c.readablePost()
	if err != nil {
		return err
	}
	if !c.isMe(p.UserID) {
		return forbidden()
	}
	list, err := a.cfg.Read.History(c.ctx, p.ID)
	if err == nil && len(list) == 0 {
		err = noPost()
	}
	return c.list(list, err)
}

func (a *API) postsByIDs(c *call) error {
	return c.list(c.readablePosts())
}

// readablePosts gives those posts of the body's ids that who asks may read.
func (c *call) readablePosts() ([]core.Post, error) {
	ids, err := bodyIDs[core.Post](c, "post_ids")
	if err != nil {
		return nil, err
	}
	list, err := c.api.cfg.Read.PostsByIDs(c.ctx, ids)
	if err != nil {
		return nil, err
	}
	out := []core.Post{}
	for _, p := range list {
		switch _, err := c.readable(p.ChannelID); core.KindOf(err) {
		case core.KindForbidden, core.KindNotFound:
		default:
			if err != nil {
				return nil, err
			}
			out = append(out, p)
		}
	}
	return out, nil
}
