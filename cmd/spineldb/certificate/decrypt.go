package certificate

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"

	"github.com/youmark/pkcs8"
)

// decrypt returns a PEM file with its key in the clear. One that is in the
// clear already is returned as it is, whatever the password.
func decrypt(file []byte, password string) ([]byte, error) {
	for rest := file; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return file, nil
		}
		old := strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED")
		if !old && block.Type != "ENCRYPTED PRIVATE KEY" {
			continue
		}
		if password == "" {
			return nil, errors.New("it is encrypted: set tls-key-file-pass, or write a copy in the clear with openssl pkey")
		}
		clear, err := open(block, []byte(password), old)
		if err != nil {
			// What the library says may be about the bytes that came out.
			return nil, errors.New("it cannot be decrypted: check tls-key-file-pass, or write the key anew with openssl pkey -aes256")
		}
		var out bytes.Buffer
		if err := pem.Encode(&out, clear); err != nil {
			return nil, err
		}
		return out.Bytes(), nil
	}
}

// open decrypts a key in the old form of OpenSSL or in the new one.
func open(block *pem.Block, password []byte, old bool) (clear *pem.Block, err error) {
	// The library panics where a file that was damaged has lengths that do not
	// fit, and a damaged file must not end a Warden that renews its certificate.
	defer func() {
		if recover() != nil {
			clear, err = nil, errors.New("the file is damaged")
		}
	}()
	var key any
	if old {
		// This form does not notice when somebody has changed the file. Whoever
		// can do that can put a key of his own there as well, so nothing is lost.
		var der []byte
		if der, err = x509.DecryptPEMBlock(block, password); err == nil { //nolint:staticcheck // see above
			key, err = parseOld(der)
		}
	} else {
		key, err = pkcs8.ParsePKCS8PrivateKey(block.Bytes, password)
	}
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return &pem.Block{Type: "PRIVATE KEY", Bytes: der}, err
}

// parseOld reads what was decrypted. A wrong password is found only here,
// about once in 256 times.
func parseOld(der []byte) (any, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	return x509.ParseECPrivateKey(der)
}
