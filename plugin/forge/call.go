package forge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// askJSON makes a call of a forge that is called without an SDK. The credential
// is read anew, and authorize puts it onto the call.
func askJSON(ctx context.Context, c *http.Client, credentialFile, method, address string, body any, authorize func(*http.Request, string)) (*http.Response, error) {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(b)
	}
	res, err := askRaw(ctx, c, credentialFile, method, address, content, authorize)
	if err != nil {
		return nil, err
	}
	if err := statusError(res.StatusCode); err != nil {
		res.Body.Close()
		return nil, err
	}
	return res, nil
}

// askRaw makes a call whose body, where there is one, is JSON or meant to be no
// JSON. Whatever the answer is, it is no error.
func askRaw(ctx context.Context, c *http.Client, credentialFile, method, address string, content io.Reader, authorize func(*http.Request, string)) (*http.Response, error) {
	token, err := readSecret(credentialFile)
	if err != nil {
		return nil, fmt.Errorf("read the credential: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, content)
	if err != nil {
		return nil, errors.New("the address is none")
	}
	authorize(req, token)
	req.Header.Set("Accept", "application/json")
	if content != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, unaddressed(err)
	}
	return res, nil
}

// decode reads an answer as a whole. Its errors quote nothing of it.
func decode(body io.Reader, into any) error {
	err := json.NewDecoder(body).Decode(into)
	if err == nil {
		return nil
	}
	_, syntax := errors.AsType[*json.SyntaxError](err)
	if _, kind := errors.AsType[*json.UnmarshalTypeError](err); syntax || kind {
		return fmt.Errorf("the answer is not as the API says: %w", quiet(err))
	}
	return fmt.Errorf("the answer ends early: %w", err)
}
