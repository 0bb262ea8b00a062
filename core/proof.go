package core

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// ProofKey is the key of a session's proofs. It is derived from the hash of the session's token, so an edge that
// was shown the token has it, and so has home, which keeps the hash sealed. Nobody can make it from the seal.
type ProofKey [32]byte

// Proof shows that a proposal was made by an edge that was shown the token of the session on whose behalf it is.
// Home checks it and does not put it into the log.
type Proof [32]byte

// proofLabel keeps the key apart from anything else that may be derived from a token's hash.
const proofLabel = "nearside proposal 1"

// ProofKey derives the key of the session's proofs.
func (h TokenHash) ProofKey() (k ProofKey) {
	m := hmac.New(sha256.New, h[:])
	m.Write([]byte(proofLabel))
	m.Sum(k[:0])
	return k
}

// Prove gives the proof of a proposal. It covers everything that is ordered: the data name the session and the
// seals of the sealed values.
func (k ProofKey) Prove(p *Proposal) (out Proof) {
	m := hmac.New(sha256.New, k[:])
	var head [16 + 16 + 8]byte
	copy(head[:], p.ID[:])
	copy(head[16:], p.Scope.Team[:])
	binary.BigEndian.PutUint64(head[32:], uint64(len(p.Data)))
	m.Write(head[:])
	m.Write(p.Data)
	m.Sum(out[:0])
	return out
}

// Proves reports whether a proposal's proof was made with the key.
func (k ProofKey) Proves(p *Proposal) bool {
	want := k.Prove(p)
	return hmac.Equal(want[:], p.Proof[:])
}
