package admission

// heapSort sorts in place. slices.Sort does it three times as fast, and takes
// 15 kB of a router's flash.
func heapSort(s []string) {
	sift := func(root, end int) {
		for child := 2*root + 1; child < end; child = 2*root + 1 {
			if child+1 < end && s[child] < s[child+1] {
				child++
			}
			if s[root] >= s[child] {
				return
			}
			s[root], s[child] = s[child], s[root]
			root = child
		}
	}
	for root := len(s)/2 - 1; root >= 0; root-- {
		sift(root, len(s))
	}
	for end := len(s) - 1; end > 0; end-- {
		s[0], s[end] = s[end], s[0]
		sift(0, end)
	}
}
