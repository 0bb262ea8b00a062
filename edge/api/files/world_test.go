package files_test

import (
	"time"

	"github.com/nearside/nearside/edge/api/apitest"
	"github.com/nearside/nearside/edge/api/files"
)

var t0 = time.UnixMilli(1_800_000_000_000)

// service returns the files area of a site.
func service(s *apitest.Site) *files.Service {
	for _, area := range s.API.Areas {
		if f, ok := area.(*files.Service); ok {
			return f
		}
	}
	panic("the API has no files")
}
