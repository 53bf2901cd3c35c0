// Package seedpostgres tests the image seed-postgres with nothing but a Docker
// engine: what init makes, what it refuses, and that open never lets a preview
// start on anything but a restored, finished import.
package seedpostgres
