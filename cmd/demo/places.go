package demo

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/nearside/nearside/core"
)

type place struct{ lat, lon float64 }

// places gives the known regions, by name.
func places() map[string]place {
	return map[string]place{
		"virginia": {38.9, -77.5}, "ohio": {40.0, -83.0}, "oregon": {45.8, -119.7}, "california": {37.4, -121.9},
		"montreal": {45.5, -73.6}, "mexico": {20.6, -100.4}, "saopaulo": {-23.5, -46.6}, "santiago": {-33.4, -70.7},
		"dublin": {53.3, -6.3}, "london": {51.5, -0.1}, "paris": {48.9, 2.4}, "frankfurt": {50.1, 8.7},
		"amsterdam": {52.4, 4.9}, "stockholm": {59.3, 18.1}, "helsinki": {60.2, 24.9}, "zurich": {47.4, 8.5},
		"milan": {45.5, 9.2}, "madrid": {40.4, -3.7}, "warsaw": {52.2, 21.0}, "telaviv": {32.1, 34.8},
		"bahrain": {26.1, 50.6}, "dubai": {25.2, 55.3}, "lagos": {6.5, 3.4}, "nairobi": {-1.3, 36.8},
		"capetown": {-33.9, 18.4}, "mumbai": {19.1, 72.9}, "singapore": {1.35, 103.8}, "jakarta": {-6.2, 106.8},
		"hongkong": {22.3, 114.2}, "taipei": {25.0, 121.5}, "seoul": {37.6, 127.0}, "tokyo": {35.7, 139.7},
		"osaka": {34.7, 135.5}, "sydney": {-33.9, 151.2}, "melbourne": {-37.8, 145.0}, "auckland": {-36.8, 174.8},
	}
}

// measured gives round trips between data centres, in milliseconds, from published measurements of the
// backbone of a large provider.
func measured() map[[2]string]float64 {
	return map[[2]string]float64{
		{"dublin", "virginia"}: 80.5, {"frankfurt", "virginia"}: 88.7, {"tokyo", "virginia"}: 145,
		{"singapore", "virginia"}: 217, {"sydney", "virginia"}: 230, {"saopaulo", "virginia"}: 119.5,
		{"oregon", "virginia"}: 87, {"frankfurt", "singapore"}: 326, {"frankfurt", "tokyo"}: 236,
		{"dublin", "sydney"}: 310, {"singapore", "tokyo"}: 74, {"sydney", "tokyo"}: 104,
		{"singapore", "sydney"}: 175, {"saopaulo", "singapore"}: 328,
	}
}

// How long light takes: cables are not straight, and the speed of light in glass is c/1.47.
const (
	earthRadiusKM   = 6371
	glassKMPerMilli = 299.792458 / 1.47
	detour          = 1.5 // median of measured over straight
)

// OneWay gives half of the round trip between two regions: measured where we have it, else
// from the great circle. It is zero within a region.
func OneWay(a, b string) time.Duration {
	if a == b {
		return 0
	}
	pair := [2]string{a, b}
	slices.Sort(pair[:])
	rtt, ok := measured()[pair]
	if !ok {
		all := places()
		rtt = 2 * greatCircleKM(all[a], all[b]) / glassKMPerMilli * detour
	}
	return time.Duration(rtt / 2 * float64(time.Millisecond)).Round(time.Millisecond / 10)
}

func greatCircleKM(a, b place) float64 {
	const rad = math.Pi / 180
	sinLat := math.Sin((b.lat - a.lat) * rad / 2)
	sinLon := math.Sin((b.lon - a.lon) * rad / 2)
	h := sinLat*sinLat + math.Cos(a.lat*rad)*math.Cos(b.lat*rad)*sinLon*sinLon
	return 2 * earthRadiusKM * math.Asin(math.Sqrt(h))
}

// Regions gives the names of the known regions, in order.
func Regions() []string {
	var names []string
	for name := range places() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func checkRegions(regions []string) error {
	if len(regions) == 0 {
		return core.E(core.KindInvalid, "no region given; use for example --regions virginia,frankfurt,singapore")
	}
	seen := map[string]bool{}
	all := places()
	for _, r := range regions {
		if _, ok := all[r]; !ok {
			return core.E(core.KindInvalid, "unknown region %q; known are %s", r, strings.Join(Regions(), ", "))
		}
		if seen[r] {
			return core.E(core.KindInvalid, "region %q is given twice", r)
		}
		seen[r] = true
	}
	return nil
}
