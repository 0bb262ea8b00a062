package pg

import "github.com/nearside/nearside/core"

// Users is the table of accounts.
var Users = table(Table[core.UserID, core.User]{
	name: "users", keys: 1, part: 100,
	key:  func(u *core.User) core.UserID { return u.ID },
	with: func(id core.UserID) core.User { return core.User{ID: id} },
	cols: []column[core.User]{
		col("id", uuids[core.UserID](), func(u *core.User) *core.UserID { return &u.ID }),
		col("create_at", bigints[int64](), func(u *core.User) *int64 { return &u.CreateAt }),
		col("update_at", bigints[int64](), func(u *core.User) *int64 { return &u.UpdateAt }),
		col("delete_at", bigints[int64](), func(u *core.User) *int64 { return &u.DeleteAt }),
		col("last_password_update", bigints[int64](), func(u *core.User) *int64 { return &u.LastPasswordUpdate }),
		col("last_picture_update", bigints[int64](), func(u *core.User) *int64 { return &u.LastPictureUpdate }),
		col("email_verified", booleans(), func(u *core.User) *bool { return &u.EmailVerified }),
		col("username", texts(), func(u *core.User) *string { return &u.Username }),
		col("email", texts(), func(u *core.User) *string { return &u.Email }),
		col("password_hash", texts(), func(u *core.User) *string { return &u.PasswordHash }),
		col("auth_service", texts(), func(u *core.User) *string { return &u.AuthService }),
		col("nickname", texts(), func(u *core.User) *string { return &u.Nickname }),
		col("first_name", texts(), func(u *core.User) *string { return &u.FirstName }),
		col("last_name", texts(), func(u *core.User) *string { return &u.LastName }),
		col("position", texts(), func(u *core.User) *string { return &u.Position }),
		col("roles", texts(), func(u *core.User) *string { return &u.Roles }),
		col("locale", texts(), func(u *core.User) *string { return &u.Locale }),
		col("props", stringMaps(), func(u *core.User) *map[string]string { return &u.Props }),
		col("notify_props", stringMaps(), func(u *core.User) *map[string]string { return &u.NotifyProps }),
		col("timezone", stringMaps(), func(u *core.User) *map[string]string { return &u.Timezone }),
		col("picture", blobIDs(), func(u *core.User) *core.BlobID { return &u.Picture.ID }),
		col("picture_size", bigints[int64](), func(u *core.User) *int64 { return &u.Picture.Size }),
	},
})
