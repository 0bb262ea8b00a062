// Package schema compiles the declaration of a noun into everything that a table needs: its
// columns, how a row is written, read, copied, measured and checked, and how keys and the
// values of indexes are encoded. Nothing else lists a table's columns.
//
// A column is a field of a struct with a db tag. The field's cbor tag gives the number that stands
// for the column in the digest of the log:
//
//	type Reaction struct {
//		UserID    UserID `cbor:"1,keyasint" db:"user_id"`
//		PostID    PostID `cbor:"2,keyasint" db:"post_id"`
//		EmojiName string `cbor:"3,keyasint" db:"emoji_name" max:"64"`
//		CreateAt  int64  `cbor:"4,keyasint" db:"create_at"`
//	}
//
// A table names the column of its key, or its key is a struct whose tags name the columns (see Of).
//
// Options of the tag follow a comma: null says that the zero value is stored as NULL. Every text,
// list and map has a limit: max counts the bytes of a text, the elements of a list, or the bytes of
// all names and values of a map; a free-form map may also take at most twice that in memory. runes
// counts the characters of a text. A struct inside a struct gives columns of its own, each with the
// outer name before it ("content_size"); the inner column "id" has the outer name alone ("content").
//
// Tags are compiled when the program starts, and a wrong declaration stops it. Reading and writing a
// row uses no reflection, except for lists and maps, which are CBOR.
//
// PatchOf compiles a patch, a struct of pointers to what may change in a noun.
//
// The package knows no database and no noun, and everything in it is safe for concurrent use
// once compiled.
package schema
