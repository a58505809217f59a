package main

import (
	"crypto/tls"

	"github.com/urfave/cli/v2"

	"github.com/spineldb/warden/cmd/spineldb/certificate"
	"github.com/spineldb/warden/cmd/spineldb/exit"
)

// tlsFlags are those connection flags that are about TLS.
func tlsFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "tls", EnvVars: []string{"WARDEN_TLS"}, Usage: "reach the Wardens by TLS; each of the other tls flags says so too"},
		&cli.StringFlag{Name: "tls-ca", EnvVars: []string{"WARDEN_TLS_CA"}, DefaultText: "the CAs that this machine trusts", Usage: "believe Wardens whose certificate a CA in `FILE` has signed"},
		&cli.StringFlag{Name: "tls-cert", EnvVars: []string{"WARDEN_TLS_CERT"}, DefaultText: "none", Usage: "show the certificate in `FILE` to Wardens that want one"},
		&cli.StringFlag{Name: "tls-key", EnvVars: []string{"WARDEN_TLS_KEY"}, Usage: "the key of --tls-cert is in `FILE`"},
		&cli.BoolFlag{Name: "tls-any-name", EnvVars: []string{"WARDEN_TLS_ANY_NAME"}, Usage: "believe a certificate of --tls-ca whatever host it names"},
	}
}

// tlsOf reads the flags about TLS; nil: none is spoken.
func tlsOf(c *cli.Context) (*tls.Config, error) {
	asking := certificate.Asking{CAFile: c.String("tls-ca"), CertFile: c.String("tls-cert"), KeyFile: c.String("tls-key"), AnyName: c.Bool("tls-any-name")}
	if !c.Bool("tls") && asking == (certificate.Asking{}) {
		return nil, nil
	}
	config, err := asking.Config()
	if err != nil {
		return nil, exit.WrongUsage("%v", err)
	}
	return config, nil
}
