package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
)

// meetAtOnce is how many users sign up at once; a server hashes two passwords at a time.
const meetAtOnce = 4

// Password is that of every account.
const Password = "correct horse battery"

// Person is an account with a session.
type Person struct {
	Base, Name, ID, Token string
	From                  string // the address that it connects from; empty: what the system chooses
}

// Problem is an answer with an error status.
type Problem struct {
	Status int    `json:"status_code"`
	ID     string `json:"id"`
	Text   string `json:"message"`
	What   string `json:"-"`
}

// Error says what was asked and what came back.
func (p *Problem) Error() string {
	return fmt.Sprintf("%s: %d %s: %s", p.What, p.Status, p.ID, p.Text)
}

// Call sends a JSON request and reads the answer into out, if out is not nil. An answer of
// 300 or more is a Problem.
func (c *Conn) Call(ctx context.Context, method, path string, in, out any) (Answer, error) {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return Answer{}, err
		}
	}
	a, err := c.Do(ctx, method, "/api/v4/"+path, body)
	if err != nil {
		return a, err
	}
	if a.Status >= 300 {
		p := &Problem{What: method + " " + path}
		if json.Unmarshal(a.Body, p) != nil || p.Status == 0 {
			p.Status, p.Text = a.Status, string(a.Body)
		}
		return a, p
	}
	if out == nil {
		return a, nil
	}
	if err := json.Unmarshal(a.Body, out); err != nil {
		return a, fmt.Errorf("%s %s: decode: %w", method, path, err)
	}
	return a, nil
}

// SignUp makes an account and signs in.
func SignUp(ctx context.Context, base, name string) (Person, error) {
	return Person{Base: base, Name: name}.SignUp(ctx)
}

// SignUp makes the account of a person that has a name and an edge, and signs in.
func (p Person) SignUp(ctx context.Context) (Person, error) {
	c := p.Conn()
	defer c.Close()
	name := p.Name
	var made struct{ ID string }
	_, err := c.Call(ctx, "POST", "users", map[string]string{"username": name, "email": name + "@example.com", "password": Password}, &made)
	if err != nil {
		return p, err
	}
	p.ID = made.ID
	a, err := c.Call(ctx, "POST", "users/login", map[string]string{"login_id": name, "password": Password}, nil)
	p.Token = a.Token
	return p, err
}

// Room is a channel with its team.
type Room struct{ Team, Channel string }

// NewRoom makes a team and a public channel.
func (p Person) NewRoom(ctx context.Context, name string) (Room, error) {
	c := p.Conn()
	defer c.Close()
	var team, channel struct{ ID string }
	if _, err := c.Call(ctx, "POST", "teams", map[string]string{"name": name, "display_name": name, "type": "O"}, &team); err != nil {
		return Room{}, err
	}
	_, err := c.Call(ctx, "POST", "channels", map[string]string{"team_id": team.ID, "name": name, "display_name": name, "type": "O"}, &channel)
	return Room{team.ID, channel.ID}, err
}

// Invite adds somebody to a room.
func (p Person) Invite(ctx context.Context, to Room, who Person) error {
	c := p.Conn()
	defer c.Close()
	if _, err := c.Call(ctx, "POST", "teams/"+to.Team+"/members", map[string]string{"team_id": to.Team, "user_id": who.ID}, nil); err != nil {
		return err
	}
	_, err := c.Call(ctx, "POST", "channels/"+to.Channel+"/members", map[string]string{"user_id": who.ID}, nil)
	return err
}

// Meet signs up one user at each address and adds them to one channel. The first of them makes the team
// and the channel, and is the administrator if there were no accounts before.
func Meet(ctx context.Context, name string, urls []string) ([]Person, Room, error) {
	people := make([]Person, len(urls))
	var err error
	if people[0], err = SignUp(ctx, urls[0], name+"-0"); err != nil {
		return nil, Room{}, err
	}
	room, err := people[0].NewRoom(ctx, name)
	if err != nil {
		return nil, room, err
	}
	var wg sync.WaitGroup
	errs := make([]error, min(meetAtOnce, len(urls)))
	for k := range errs {
		wg.Go(func() {
			for i := 1 + k; i < len(urls) && errs[k] == nil; i += len(errs) {
				if people[i], errs[k] = SignUp(ctx, urls[i], fmt.Sprintf("%s-%d", name, i)); errs[k] == nil {
					errs[k] = people[0].Invite(ctx, room, people[i])
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, room, err
	}
	return people, room, nil
}

// Conn gives a new connection with the person's token.
func (p Person) Conn() *Conn {
	c := NewConn(p.Base, p.Token)
	c.From = p.From
	return c
}

// Post has the fields of a post that the measurements need.
type Post struct {
	ID       string `json:"id"`
	UserID   string `json:"user_id"`
	CreateAt int64  `json:"create_at"`
	Message  string `json:"message"`
	Type     string `json:"type"` // empty: a person wrote it
}

// History reads a whole channel through the API, oldest first.
func (p Person) History(ctx context.Context, channel string) ([]Post, error) {
	c := p.Conn()
	defer c.Close()
	var all []Post
	for page := 0; ; page++ {
		var list struct {
			Order []string
			Posts map[string]Post
		}
		path := fmt.Sprintf("channels/%s/posts?page=%d&per_page=200&skipFetchThreads=true", channel, page)
		if _, err := c.Call(ctx, "GET", path, nil, &list); err != nil {
			return nil, err
		}
		for _, id := range list.Order {
			all = append(all, list.Posts[id])
		}
		if len(list.Order) < 200 {
			break
		}
	}
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return all, nil
}
