package discord

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/textproto"
	"strconv"
	"strings"
	"unicode"
)

// File is one file to upload.
type File struct {
	Name string
	Data []byte
}

// encode writes a JSON object, or with files a form.
func encode(document any, files []File) (contentType string, body []byte, err error) {
	object, err := json.Marshal(document)
	if err != nil || len(files) == 0 {
		return "application/json", object, err
	}
	return encodeForm(object, files)
}

// partOverhead is more than the boundary and header of one part of a form,
// without the file's name.
const partOverhead = 512

// encodeForm writes a JSON object and the files that it names by their index.
// A file's name cannot end its header: quotes are escaped as browsers do it,
// and no control character gets there. Discord prefers the name in the object.
// https://discord.com/developers/docs/reference#uploading-files
func encodeForm(object []byte, files []File) (contentType string, body []byte, err error) {
	size := len(object) + partOverhead
	for _, file := range files {
		size += len(file.Data) + 3*len(file.Name) + partOverhead
	}
	form := bytes.NewBuffer(make([]byte, 0, size))
	w := multipart.NewWriter(form)
	part := func(disposition, contentType string, data []byte) error {
		out, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {disposition}, "Content-Type": {contentType}})
		if err == nil {
			_, err = out.Write(data)
		}
		return err
	}
	err = part(`form-data; name="payload_json"`, "application/json", object)
	for i, file := range files {
		if err == nil {
			err = part(multipart.FileContentDisposition("files["+strconv.Itoa(i)+"]", printable(file.Name)), "application/octet-stream", file.Data)
		}
	}
	if err == nil {
		err = w.Close()
	}
	return w.FormDataContentType(), form.Bytes(), err
}

func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '_'
		}
		return r
	}, name)
}
