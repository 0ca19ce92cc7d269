package secret

import (
	"math"
	"strings"
)

const (
	// strongBits is how many bits a text must seem to have to be kept like a
	// secret of this server's own making.
	strongBits = 128
	// mostOfAWord is how many letters of one case count that follow each other:
	// more of them are likely to be a word.
	mostOfAWord = 3
	// leastHex is how many digits of a hexadecimal text must not continue a run,
	// and leastDistinct how many different ones there must be.
	leastHex, leastDistinct = 28, 8
)

// Strong reports whether the text of an imported secret seems as hard to guess
// as one that New makes: then its SHA-256 is enough, and anything else needs a
// slow hash (NIST SP 800-63B section 5.1.1.2). It seems so with 128 bits:
//
//   - hexadecimal digits of one case have 4 bits each, and dashes between them
//     none: 16 random bytes, and a UUID
//   - other printable characters have as many bits as the classes give that occur
//     (lower and upper case, digits): at least letters and digits must. Of letters
//     of one case that follow each other three count, and what only continues a
//     run ("aaa", "abc", "321") does not
//
// So 26 random letters of both cases and digits are strong, as a rule, and words
// are not. What a person made up with care can pass: no rule sees where a text
// comes from.
func (s Secret) Strong() bool {
	text := s.Reveal()
	if len(text) > 4096 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return false
	}
	digits := strings.ReplaceAll(text, "-", "")
	hex := isHex(digits)
	if hex {
		text = digits
	}
	var has [classes]bool
	counted, word := 0, 0
	for i := range len(text) {
		class := classOf(text[i])
		has[class] = true
		if word++; i > 0 && class != classOf(text[i-1]) {
			word = 1
		}
		letter := class == aLower || class == anUpper
		if !continues(text, i) && (hex || !letter || word <= mostOfAWord) {
			counted++
		}
	}
	switch {
	case !has[aDigit] || !has[aLower] && !has[anUpper]:
		return false
	case hex:
		return 4*len(text) >= strongBits && counted >= leastHex && distinct(text) >= leastDistinct
	}
	alphabet := 0.0
	for class, size := range [classes]float64{aLower: 26, anUpper: 26, aDigit: 10} {
		if has[class] {
			alphabet += size
		}
	}
	return float64(counted)*math.Log2(alphabet) >= strongBits
}

// The classes of characters.
const (
	aLower = iota
	anUpper
	aDigit
	another
	classes
)

func classOf(c byte) int {
	switch {
	case c >= 'a' && c <= 'z':
		return aLower
	case c >= 'A' && c <= 'Z':
		return anUpper
	case c >= '0' && c <= '9':
		return aDigit
	default:
		return another
	}
}

// continues reports whether a character goes on as the two before it did: the
// same again, or one further, up or down.
func continues(text string, i int) bool {
	if i < 2 {
		return false
	}
	step := int(text[i]) - int(text[i-1])
	return step >= -1 && step <= 1 && step == int(text[i-1])-int(text[i-2])
}

func isHex(text string) bool {
	return strings.Trim(text, "0123456789abcdef") == "" || strings.Trim(text, "0123456789ABCDEF") == ""
}

func distinct(text string) int {
	n := 0
	for i := range len(text) {
		if strings.IndexByte(text, text[i]) == i {
			n++
		}
	}
	return n
}
