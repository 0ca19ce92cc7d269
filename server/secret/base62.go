package secret

import (
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"hash/crc32"
)

const (
	digits         = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	checksumDigits = 6 // 62^6 > 2^32
)

// Base62 is written in groups of 8 bytes, each 11 digits, so that it takes time
// in proportion to the length; the last group is shorter.
const (
	groupBytes  = 8
	groupDigits = 11
)

// ErrBase62 is a text that AppendBase62 does not write.
var ErrBase62 = errors.New("not base62")

// AppendBase62 appends src to dst in base62: 11 digits of [0-9A-Za-z] for each 8
// bytes. Each text stands for one sequence of bytes and each sequence has one
// text.
func AppendBase62(dst, src []byte) []byte {
	for len(src) > 0 {
		n := min(len(src), groupBytes)
		var group [groupBytes]byte
		copy(group[groupBytes-n:], src[:n])
		dst = appendNumber(dst, binary.BigEndian.Uint64(group[:]), digitsOf(n))
		src = src[n:]
	}
	return dst
}

// AppendDecodedBase62 appends to dst the bytes that text stands for, or returns
// ErrBase62.
func AppendDecodedBase62(dst []byte, text string) ([]byte, error) {
	for len(text) > 0 {
		n := min(len(text), groupDigits)
		size := bytesOf(n)
		value, ok := number(text[:n])
		if size == 0 || !ok || size < groupBytes && value>>(8*size) != 0 {
			return nil, ErrBase62
		}
		var group [groupBytes]byte
		binary.BigEndian.PutUint64(group[:], value)
		dst = append(dst, group[groupBytes-size:]...)
		text = text[n:]
	}
	return dst, nil
}

// AppendChecksum appends six base62 digits of the CRC-32 (IEEE) of all of text.
// It finds errors of typing and copying; it protects against nobody.
func AppendChecksum(text []byte) []byte {
	return appendNumber(text, uint64(crc32.ChecksumIEEE(text)), checksumDigits)
}

// CutChecksum returns text without the checksum that AppendChecksum gave it, and
// whether that is right.
func CutChecksum(text string) (string, bool) {
	if len(text) < checksumDigits {
		return "", false
	}
	body := text[:len(text)-checksumDigits]
	var want [checksumDigits]byte
	appendNumber(want[:0], uint64(crc32.ChecksumIEEE([]byte(body))), checksumDigits)
	return body, subtle.ConstantTimeCompare(want[:], []byte(text[len(body):])) == 1
}

// digitsOf returns how many digits it takes to write n bytes, n <= 8.
func digitsOf(n int) int { return [groupBytes + 1]int{0, 2, 3, 5, 6, 7, 9, 10, groupDigits}[n] }

// bytesOf returns how many bytes n digits stand for, n <= 11, or 0 if no number
// of bytes is written so.
func bytesOf(n int) int {
	return [groupDigits + 1]int{0, 0, 1, 2, 0, 3, 4, 5, 0, 6, 7, groupBytes}[n]
}

// appendNumber appends a number in so many digits.
func appendNumber(dst []byte, value uint64, width int) []byte {
	var out [groupDigits]byte
	for i := width - 1; i >= 0; i-- {
		out[i] = digits[value%62]
		value /= 62
	}
	return append(dst, out[:width]...)
}

// number reads at most 11 digits. It is false for what does not fit 64 bits.
func number(text string) (uint64, bool) {
	var value uint64
	for i := range len(text) {
		d, ok := digit(text[i])
		if !ok || value > (1<<64-1-uint64(d))/62 {
			return 0, false
		}
		value = value*62 + uint64(d)
	}
	return value, true
}

func digit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'A' <= c && c <= 'Z':
		return c - 'A' + 10, true
	case 'a' <= c && c <= 'z':
		return c - 'a' + 36, true
	default:
		return 0, false
	}
}

func allDigits(text string) bool {
	for i := range len(text) {
		if _, ok := digit(text[i]); !ok {
			return false
		}
	}
	return true
}

// ChecksumEnd returns where the first text that AppendChecksum wrote ends, of
// those that begin with text's first byte and have so many bytes before the
// checksum, or more. 0 is none.
func ChecksumEnd(text []byte, least int) int {
	if least < 0 || len(text) < least+checksumDigits {
		return 0
	}
	sum := crc32.ChecksumIEEE(text[:least])
	var want [checksumDigits]byte
	for at := least; ; at++ {
		appendNumber(want[:0], uint64(sum), checksumDigits)
		if string(want[:]) == string(text[at:at+checksumDigits]) {
			return at + checksumDigits
		}
		if at+checksumDigits == len(text) {
			return 0
		}
		sum = crc32.Update(sum, crc32.IEEETable, text[at:at+1])
	}
}
