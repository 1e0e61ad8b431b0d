package status

// appendDate appends a moment, in seconds since 1970, as "2006-01-02 15:04:05 UTC". (Package time would bring its time zones, 50 kB of a router's flash.)
func appendDate(b []byte, seconds uint64) []byte {
	days, rest := seconds/86400, seconds%86400
	year, month := uint64(1970), 0
	for ; days >= 365+leap(year); year++ {
		days -= 365 + leap(year)
	}
	lengths := [12]uint64{31, 28 + leap(year), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	for ; days >= lengths[month]; month++ {
		days -= lengths[month]
	}
	b = two(two(b, "", year/100), "", year%100)
	b = two(two(b, "-", uint64(month+1)), "-", days+1)
	return add(two(two(two(b, " ", rest/3600), ":", rest/60%60), ":", rest%60), " UTC")
}

// leap is how many days a year has above 365.
func leap(year uint64) uint64 {
	if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		return 1
	}
	return 0
}

// two appends a text and a number as two digits.
func two(b []byte, before string, n uint64) []byte {
	return append(add(b, before), '0'+byte(n/10), '0'+byte(n%10))
}
