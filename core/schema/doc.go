// Package schema compiles the declaration of a noun into everything that a table needs: its
// columns, how a row is written, read, copied, measured and checked, and how keys and the
// values of indexes are encoded. Nothing else lists a table's columns.
//
// A column is a field of a struct with a db tag; the field's cbor tag gives its number, which
// the digest of the log knows it by:
//
//	type Reaction struct {
//		UserID    UserID `cbor:"1,keyasint" db:"user_id"`
//		PostID    PostID `cbor:"2,keyasint" db:"post_id"`
//		EmojiName string `cbor:"3,keyasint" db:"emoji_name" max:"64"`
//		CreateAt  int64  `cbor:"4,keyasint" db:"create_at"`
//	}
//
// Options of the tag, after a comma: null says that the zero value is stored as NULL. Every text,
// list and map has a limit: max counts the bytes of a text, the elements of a list, and the bytes
// of all names and values of a map (a free-form one may also take no more than twice that in memory); runes counts the characters of a text. A struct in a struct
// gives its own columns, each with the outer name before it ("content" and "content_size"); the
// inner column "id" takes the outer name alone.
//
// Tags are compiled when the program starts; a declaration that is wrong stops it then. On a
// row's way there is no reflection but for lists and maps, which are CBOR.
//
// The package knows no database and no noun, and everything in it is safe for concurrent use
// once compiled.
package schema
