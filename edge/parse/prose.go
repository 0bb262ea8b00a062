package parse

import (
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// The Markdown library needs time that grows with the square of how deep blocks are nested and of how many
// brackets or stars one paragraph has. These bounds keep it in proportion to the message.
const (
	maxDepth = 24 // of blocks in blocks; a deeper marker is text
	maxMarks = 48 // bytes with a meaning in Markdown in one paragraph; what follows is parsed as another one
)

// The parsers are what clients render with, except that HTML is text, as it is for them.
var (
	plain     = newParser()
	withLinks = newParser(util.Prioritized(extension.NewLinkifyParser(), 600)) // finds bare addresses, and takes twice as long
)

func newParser(more ...util.PrioritizedValue) parser.Parser {
	block := func(p parser.BlockParser, priority int) util.PrioritizedValue {
		return util.Prioritized(bounded{p}, priority)
	}
	return parser.NewParser(
		parser.WithBlockParsers(
			block(parser.NewSetextHeadingParser(), 100),
			block(parser.NewThematicBreakParser(), 200),
			block(parser.NewListParser(), 300),
			block(parser.NewListItemParser(), 400),
			block(parser.NewCodeBlockParser(), 500),
			block(parser.NewATXHeadingParser(), 600),
			block(parser.NewFencedCodeBlockParser(), 700),
			block(parser.NewBlockquoteParser(), 800),
			util.Prioritized(parser.NewParagraphParser(), 1000),
		),
		parser.WithInlineParsers(append(more,
			util.Prioritized(parser.NewCodeSpanParser(), 100),
			util.Prioritized(parser.NewLinkParser(), 200),
			util.Prioritized(parser.NewAutoLinkParser(), 300),
			util.Prioritized(parser.NewEmphasisParser(), 500),
		)...),
		parser.WithParagraphTransformers(
			util.Prioritized(parser.LinkReferenceParagraphTransformer, 100),
			util.Prioritized(pieces{}, 200),
		),
	)
}

// bounded opens a block only if it is not too deep in others.
type bounded struct{ parser.BlockParser }

func (b bounded) Open(parent ast.Node, r text.Reader, c parser.Context) (ast.Node, parser.State) {
	depth := 0
	for n := parent; n != nil; n = n.Parent() {
		depth++
	}
	if depth > maxDepth {
		return nil, parser.NoChildren
	}
	return b.BlockParser.Open(parent, r, c)
}

// Close makes paragraphs of a heading that is too long.
func (b bounded) Close(n ast.Node, r text.Reader, c parser.Context) {
	b.BlockParser.Close(n, r, c)
	if h, ok := n.(*ast.Heading); ok {
		split(h, r.Source())
	}
}

// pieces splits a paragraph that has too many marks.
type pieces struct{}

func (pieces) Transform(p *ast.Paragraph, r text.Reader, _ parser.Context) { split(p, r.Source()) }

func split(n ast.Node, source []byte) {
	lines, parent := n.Lines(), n.Parent()
	marks := 0
	for i := range lines.Len() {
		line := lines.At(i)
		marks += marksIn(line.Value(source))
	}
	if marks <= maxMarks || parent == nil {
		return
	}
	piece := ast.NewParagraph()
	marks = 0
	for i := range lines.Len() {
		line := lines.At(i)
		for start := line.Start; start < line.Stop; {
			end := start
			for end < line.Stop && marks <= maxMarks {
				if isMark(source[end]) {
					marks++
				}
				end++
			}
			if s := text.NewSegment(start, end); !util.IsBlank(s.Value(source)) { // the library cannot bear an empty line
				piece.Lines().Append(s)
			}
			if marks > maxMarks && piece.Lines().Len() > 0 {
				parent.InsertBefore(parent, n, piece)
				piece, marks = ast.NewParagraph(), 0
			}
			start = end
		}
	}
	if piece.Lines().Len() == 0 {
		parent.RemoveChild(parent, n)
		return
	}
	n.SetLines(piece.Lines())
}

func marksIn(b []byte) (n int) {
	for _, c := range b {
		if isMark(c) {
			n++
		}
	}
	return n
}

func isMark(c byte) bool { return strings.IndexByte("[]()*_`<>!:/\\&", c) >= 0 }

// prose calls f for each run of text outside code and links.
func prose(message string, f func(run []byte)) {
	p := plain
	if strings.Contains(message, "://") || strings.Contains(message, "www.") {
		p = withLinks
	}
	source := []byte(message)
	var run []byte
	flush := func() {
		if len(run) > 0 {
			f(run)
		}
		run = run[:0]
	}
	_ = ast.Walk(p.Parse(text.NewReader(source)), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		t, is := n.(*ast.Text)
		switch {
		case !is:
			flush()
			switch n.(type) {
			case *ast.CodeSpan, *ast.CodeBlock, *ast.FencedCodeBlock, *ast.Link, *ast.Image, *ast.AutoLink:
				return ast.WalkSkipChildren, nil
			}
		case entering:
			run = append(run, t.Segment.Value(source)...)
			if t.SoftLineBreak() || t.HardLineBreak() {
				flush()
			}
		}
		return ast.WalkContinue, nil
	})
	flush()
}
