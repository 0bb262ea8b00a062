package read

// ExplainSearch shows how the database finds the words of a search.
const ExplainSearch = `EXPLAIN SELECT t.id FROM files t WHERE ` + live + ` AND ` + nameWords + ` @@ to_tsquery('simple', 'needle:*')
	UNION SELECT x.file_id FROM file_texts x WHERE ` + textWords + ` @@ to_tsquery('simple', 'needle')`
