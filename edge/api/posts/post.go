package posts

import (
	"slices"
	"time"

	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/core/schema"
	"github.com/nearside/nearside/edge/api"
	"github.com/nearside/nearside/edge/api/access"
	"github.com/nearside/nearside/edge/parse"
)

// newPost is a post as clients send it.
type newPost struct {
	core.Post
	Metadata struct {
		Priority api.Unbuilt `json:"priority"`
	} `json:"metadata"`
}

func (s *Service) createPost(c *api.Call, _ core.User, in newPost) (core.Post, error) {
	if in.ChannelID.IsZero() {
		return in.Post, api.BadParam("channel_id")
	}
	p := core.Post{
		ChannelID: in.ChannelID, RootID: in.RootID, CreateAt: in.CreateAt, IsPinned: in.IsPinned, Message: in.Message, Type: in.Type,
		Props: in.Props, PendingPostID: in.PendingPostID, FileIDs: in.FileIDs,
	}
	if err := p.Check(); err != nil {
		return p, err
	}
	said := parse.Parse(p.Message)
	p.Hashtags = said.Hashtags
	cmd := &command.CreatePost{Post: p, Mentions: said.Mentions, SetOnline: c.Query("set_online") == "" || c.Flag("set_online")}
	if slices.Contains(namesIn(said.Mentions), core.MentionHere) {
		members, err := s.Read.Listeners(c, p.ChannelID)
		if err != nil {
			return p, err
		}
		cmd.Online = s.online(members)
	}
	var made command.Made
	if err := c.ProposeAs(proposalOf(c, p), cmd, &made); err != nil {
		return p, err
	}
	if p, ok := s.fresh.get(made.ID); ok {
		return p, nil
	}
	pending := p.PendingPostID
	p, err := api.ReadBack(c, s.Read.Post, made.ID)
	p.PendingPostID = pending // it is not stored with the post
	if err == nil && p.DeleteAt != 0 {
		err = access.NoPost // sent again after it was deleted: it stays so
	}
	return p, err
}

// namesIn returns the names that words after "@" may stand for.
func namesIn(words []string) (names []string) {
	for _, word := range words {
		names = append(names, core.NamesIn(word)...)
	}
	return names
}

// proposalOf returns a new id, except for a post with a pending id: its proposal id is derived
// from that, so a client that sends the post again gets the first one.
func proposalOf(c *api.Call, p core.Post) core.ProposalID {
	if p.PendingPostID == "" {
		return core.NewID[core.Proposal](time.Now())
	}
	return core.DeriveID[core.Proposal]("pending post", c.User.ID.String(), p.PendingPostID)
}

func (s *Service) getPost(_ *api.Call, p core.Post) (core.Post, error) { return p, nil }

// postPatch is what a client sends to change a post.
type postPatch struct {
	ID *core.PostID `json:"id"`
	core.PostPatch
}

var setPost = schema.PatchOf[core.PostPatch, core.Post]()

// updatePost is patchPost for clients that send the whole post with its id.
func (s *Service) updatePost(c *api.Call, p core.Post, in postPatch) (core.Post, error) {
	if in.ID == nil || *in.ID != p.ID {
		return p, api.BadParam("id")
	}
	return s.patchPost(c, p, in)
}

func (s *Service) patchPost(c *api.Call, p core.Post, in postPatch) (core.Post, error) {
	setPost(&p, &in.PostPatch)
	if err := p.Check(); err != nil {
		return p, err
	}
	if in.Message != nil {
		tags := parse.Parse(*in.Message).Hashtags
		in.Hashtags = &tags
	}
	return api.Changed(c, &command.PatchPost{PostID: p.ID, PostPatch: in.PostPatch}, s.Read.Post, p.ID)
}

func (s *Service) deletePost(c *api.Call, p core.Post) (api.Done, error) {
	if c.Flag("permanent") {
		return api.Done{}, api.NoPermanentDeletion
	}
	return api.Done{}, c.Propose(&command.DeletePost{PostID: p.ID}, nil)
}

func (s *Service) pinPost(c *api.Call, p core.Post) (api.Done, error) { return setPinned(c, p, true) }

func (s *Service) unpinPost(c *api.Call, p core.Post) (api.Done, error) {
	return setPinned(c, p, false)
}

func setPinned(c *api.Call, p core.Post, pinned bool) (api.Done, error) {
	if p.IsPinned == pinned {
		return api.Done{}, nil
	}
	return api.Done{}, c.Propose(&command.PatchPost{PostID: p.ID, PostPatch: core.PostPatch{IsPinned: &pinned}}, nil)
}

func (s *Service) postHistory(c *api.Call, p core.Post) ([]core.Post, error) {
	list, err := s.Read.History(c, p.ID)
	if err == nil && len(list) == 0 {
		err = access.NoPost
	}
	return list, err
}

// postsByIDs returns those of the posts that the caller may read.
func (s *Service) postsByIDs(c *api.Call, _ core.User, ids []core.PostID) ([]core.Post, error) {
	list, err := s.Read.PostsByIDs(c, ids)
	if err != nil {
		return nil, err
	}
	out := []core.Post{}
	for _, p := range list {
		switch _, err := s.Readable(c, p.ChannelID); core.KindOf(err) {
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
