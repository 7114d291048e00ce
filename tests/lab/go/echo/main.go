// An HTTP server that says which pod on which node answered.
package main

import (
	"cmp"
	"fmt"
	"log"
	"net/http"
	"os"
)

func main() {
	hostname, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	answer := fmt.Sprintf("pod=%s node=%s\n",
		cmp.Or(os.Getenv("POD_NAME"), hostname),
		cmp.Or(os.Getenv("NODE_NAME"), "unknown"))
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, answer)
	})
	log.Fatal(http.ListenAndServe(":"+cmp.Or(os.Getenv("PORT"), "8080"), nil))
}
