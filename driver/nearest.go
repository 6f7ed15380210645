package driver

// nearest returns the candidate with the smallest edit distance to text, the first of
// several.
func nearest(text string, candidates []string) string {
	best, least := "", -1
	for _, c := range candidates {
		if d := editDistance(text, c); least < 0 || d < least {
			best, least = c, d
		}
	}
	return best
}

// editDistance counts the bytes to insert, delete or replace to turn a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
