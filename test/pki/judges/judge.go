// Verifies leaves with Go's crypto/x509. Reads lines "<bundle file>\t<leaf file>", answers each with
// "accepted" or "refused: <why>".
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
)

func judge(bundleFile, leafFile string) error {
	bundle, err := os.ReadFile(bundleFile)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(leafFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return fmt.Errorf("no certificate in the bundle")
	}
	block, _ := pem.Decode(text)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
			return err
		}
	}
	return leaf.VerifyHostname("member.example")
}

func main() {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		bundle, leaf, _ := strings.Cut(lines.Text(), "\t")
		if err := judge(bundle, leaf); err != nil {
			fmt.Println("refused:", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("accepted")
		}
	}
}
