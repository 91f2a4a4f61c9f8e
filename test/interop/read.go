// Reads each archive named on the command line with archive/tar: one JSON line each. The twin of read.py.
package main

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"os"
)

const mostBody = 1 << 20

type entry struct {
	Name     string  `json:"name"`
	Typeflag string  `json:"typeflag"`
	Size     int64   `json:"size"`
	Mode     int64   `json:"mode"`
	Mtime    string  `json:"mtime"` // nanoseconds
	Uid      int     `json:"uid"`
	Gid      int     `json:"gid"`
	Uname    string  `json:"uname"`
	Gname    string  `json:"gname"`
	Linkname string  `json:"linkname"`
	Devmajor int64   `json:"devmajor"`
	Devminor int64   `json:"devminor"`
	Body     *string `json:"body"`
}

func read(path string) ([]entry, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	entries := []entry{}
	archive := tar.NewReader(file)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		var body *string
		if (header.Typeflag == tar.TypeReg || header.Typeflag == tar.TypeCont) && header.Size <= mostBody {
			hash := sha256.New()
			if _, err := io.Copy(hash, archive); err != nil {
				return nil, err
			}
			sum := hex.EncodeToString(hash.Sum(nil))
			body = &sum
		}
		entries = append(entries, entry{
			header.Name, string(rune(header.Typeflag)), header.Size, header.Mode,
			fmt.Sprintf("%d", new(big.Int).Add(new(big.Int).Mul(big.NewInt(header.ModTime.Unix()), big.NewInt(1e9)), big.NewInt(int64(header.ModTime.Nanosecond())))),
			header.Uid, header.Gid, header.Uname, header.Gname, header.Linkname,
			header.Devmajor, header.Devminor, body,
		})
	}
}

func main() {
	out := json.NewEncoder(os.Stdout)
	for _, path := range os.Args[1:] {
		entries, err := read(path)
		if err != nil {
			out.Encode(map[string]string{"error": err.Error()})
		} else {
			out.Encode(map[string][]entry{"entries": entries})
		}
	}
}
