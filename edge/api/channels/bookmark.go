package channels

import (
	"github.com/nearside/nearside/core"
	"github.com/nearside/nearside/core/command"
	"github.com/nearside/nearside/edge/api"
)

func (s *Service) listBookmarks(c *api.Call, ch core.Channel, since int64) ([]core.Bookmark, error) {
	return s.Read.Bookmarks(c, ch.ID, since)
}

func (s *Service) createBookmark(c *api.Call, ch core.Channel, in core.Bookmark) (core.Bookmark, error) {
	in.ChannelID = ch.ID
	return api.Made(c, &command.CreateBookmark{Bookmark: in}, s.Read.Bookmark)
}

func (s *Service) patchBookmark(c *api.Call, at api.Two[core.Channel, core.BookmarkID], in core.BookmarkPatch) (out core.BookmarkUpdate, err error) {
	out.Updated, err = api.Made(c, &command.PatchBookmark{ChannelID: at.First.ID, BookmarkID: at.Second, BookmarkPatch: in}, s.Read.Bookmark)
	if err == nil && out.Updated.ID != at.Second {
		out.Deleted, err = api.ReadBack(c, s.Read.Bookmark, at.Second)
	}
	return out, err
}

func (s *Service) sortBookmark(c *api.Call, at api.Two[core.Channel, core.BookmarkID], place int64) ([]core.Bookmark, error) {
	if err := c.Propose(&command.SortBookmark{ChannelID: at.First.ID, BookmarkID: at.Second, Place: place}, nil); err != nil {
		return nil, err
	}
	return s.Read.Bookmarks(c, at.First.ID, 0)
}

func (s *Service) deleteBookmark(c *api.Call, at api.Two[core.Channel, core.BookmarkID]) (core.Bookmark, error) {
	return api.Changed(c, &command.DeleteBookmark{ChannelID: at.First.ID, BookmarkID: at.Second}, s.Read.Bookmark, at.Second)
}
