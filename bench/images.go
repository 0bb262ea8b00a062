package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	stdimage "image"
	"image/jpeg"
	"os"
	"os/exec"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nearside/nearside/cdn/image"
	"github.com/nearside/nearside/core/turn"
)

const (
	pictures      = 1000
	pictureWidth  = 4000
	pictureHeight = 3000
	pictureMemory = 256 // MiB at most
)

// images measures making thumbnails in a process of its own, so that its memory can be measured.
func (b *bench) images(ctx context.Context) error {
	n := pictures
	if b.short {
		n /= 20
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-thumbnails", strconv.Itoa(n))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	var rate, peak float64
	if _, err := fmt.Sscan(string(out), &rate, &peak); err != nil {
		return fmt.Errorf("%q: %w", out, err)
	}
	b.report.note("%d thumbnails and previews of pictures of 12 megapixels: %.1f a second", n, rate)
	b.report.atMost("memory while thumbnails of 12 megapixels are made", peak, pictureMemory, " MiB")
	return nil
}

// beThumbnails runs in the other process: it prints pictures per second and the peak of its memory in
// MiB.
func beThumbnails(ctx context.Context, n int) error {
	if n <= 0 {
		return errors.New("no pictures to make")
	}
	raw, err := photo()
	if err != nil {
		return err
	}
	debug.FreeOSMemory() // the memory for making the photo is not counted
	if err := forgetPeak(os.Getpid()); err != nil {
		return err
	}
	maker, began := image.New(), time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, 8)
	for i := range cap(failed) {
		maker := maker.For(turn.Who{Name: fmt.Sprint("caller ", i)})
		wg.Go(func() {
			for next.Add(1) <= int64(n) {
				set, err := maker.Make(ctx, bytes.NewReader(raw))
				if err == nil && (len(set.Thumbnail) == 0 || set.Width != pictureWidth) {
					err = errors.New("a picture came without its thumbnail")
				}
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
	}
	peak, err := residentPeak(os.Getpid())
	fmt.Printf("%.2f %.1f\n", float64(n)/time.Since(began).Seconds(), float64(peak)/(1<<20))
	return err
}

// photo gives a JPEG of 12 megapixels with as much detail as a camera's.
func photo() ([]byte, error) {
	pic := stdimage.NewYCbCr(stdimage.Rect(0, 0, pictureWidth, pictureHeight), stdimage.YCbCrSubsampleRatio420)
	x := uint32(1)
	for i := range pic.Y {
		x = x*1664525 + 1013904223
		col, row := i%pic.YStride, i/pic.YStride
		pic.Y[i] = byte(128 + 60*((col/97+row/61)%2) + int(x>>28)) //nolint:gosec // it fits
	}
	for i := range pic.Cb {
		pic.Cb[i], pic.Cr[i] = byte(i/pic.CStride), byte(i%pic.CStride)
	}
	var out bytes.Buffer
	err := jpeg.Encode(&out, pic, &jpeg.Options{Quality: 90})
	return out.Bytes(), err
}
