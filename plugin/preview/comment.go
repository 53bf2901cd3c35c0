package preview

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/time/rate"

	"github.com/seedling-dev/seedling/hooks/snapshot"
	"github.com/seedling-dev/seedling/plugin/forge"
	"github.com/seedling-dev/seedling/plugin/queue"
)

const (
	// commentTimeout bounds a comment with the calls that find it, commentApart is
	// how often one is written at most.
	commentTimeout = 30 * time.Second
	commentApart   = 30 * time.Second
	// commentEvery and commentsAtOnce bound the comments of a forge: GitHub wants
	// at most 500 of what people are told of in an hour, whoever writes it.
	commentEvery   = 10 * time.Second
	commentsAtOnce = 40
	// commentRefused is how long one waits that the forge does not let us write.
	commentRefused = 15 * time.Minute
	// maxSections is how many ApplicationSets a comment tells of, maxSentence how
	// long a sentence in it is.
	maxSections = 20
	maxSentence = 1000
)

// commented is what was last said of a pull request in our comment.
type commented struct {
	// id is the comment's, empty while it is not known; text a digest.
	id, text string
	at       time.Time
}

// marker is the last line of our comment, by which we find it again: the title
// of a link that nothing uses, which no forge shows. Each plugin has its own.
func (r *Reconciler) marker() string {
	return "[//]: # (seedling-previews " + r.Owner + ")"
}

// comment plans the comment of a pull request: one, whoever asks for previews of
// it. It changes with what is to be said, and is never in the way. room is how many
// may be written now, which it counts down: thousands that wait for their turn one
// by one would be as many tasks, and steps, again and again. The caller holds mu.
func (r *Reconciler) comment(repo *repository, items []*item, room *int, e *errands) {
	f, ok := repo.forge.(forge.Commenter)
	if !ok {
		return
	}
	was := repo.comments[items[0].key.Number]
	var parts []string
	create, over := false, true
	for _, it := range items[:min(len(items), maxSections)] {
		p := it.is
		if p == nil && it.cur != nil {
			p = givenUp(it)
			p.Reason = cmp.Or(p.Reason, reasonClosed)
		}
		switch {
		case !it.in.Comments && !it.unasked:
			continue
		case p == nil || it.unsure || it.unasked && p.Phase != Ending, p.Phase == Held && p.Expired == nil && it.facts.Consent.Unanswered,
			unanswered[behind(p, it)]:
			return // what was said stands: it is not known anew yet
		}
		over = over && p.Phase == Ending
		create = create || it.facts.PullRequest != nil && (p.ConsentBy != "" || it.facts.Consent.By != "")
		parts = append(parts, r.section(p, it, repo.sentence[p.Namespace], repo.lastWords[p.Namespace]))
	}
	if len(parts) == 0 || !create && was.id == "" {
		return
	}
	body := strings.Join(parts, "\n\n") + "\n\n" + r.marker() + "\n"
	text := digest(body)[:16]
	if was.text == text {
		return
	}
	// That all is over does not wait: what is gone has no more turn to say so.
	if at := was.at.Add(commentApart); !over && !was.at.IsZero() && at.After(e.now) && !was.at.After(e.now) {
		e.by(at)
		return
	}
	if *room <= 0 {
		e.by(e.now.Add(commentEvery))
		return
	}
	if e.want(r.commentTask(repo, f, items[0].key, was.id, body, text)) {
		*room--
	}
}

// commentTask edits our comment, or finds it and edits it, or writes it.
func (r *Reconciler) commentTask(repo *repository, f forge.Commenter, of Key, id, body, text string) task {
	key, name := fmt.Sprint("comment/", of.Number), repo.forge.Name()
	return task{key: key, class: queue.Telling, timeout: commentTimeout, do: func(ctx context.Context) (bool, error) {
		if !r.comments[name].AllowN(r.Now(), 1) {
			repo.mu.Lock()
			defer repo.mu.Unlock()
			repo.pace[key] = try{at: r.Now(), next: r.Now().Add(commentEvery)}
			return false, nil
		}
		id, err := r.write(ctx, f, of, id, body)
		repo.mu.Lock()
		defer repo.mu.Unlock()
		delete(repo.pace, key)
		switch {
		case errors.Is(err, forge.ErrCredential):
			repo.pace[key] = try{at: r.Now(), next: r.Now().Add(commentRefused)}
			r.Log.WarnContext(ctx, "the forge does not let us comment; previews go on without: give the right, or set comments: false",
				"repository", of.Repository, "number", of.Number, "error", err, "again_in", commentRefused)
			return false, nil
		case err != nil:
			// It may have been written all the same: it is looked for again.
			repo.comments[of.Number] = commented{at: r.Now()}
			return false, err
		}
		repo.comments[of.Number] = commented{id: id, text: text, at: r.Now()}
		return false, nil
	}}
}

// write writes our comment, and returns its ID. One that somebody removed is
// written anew when there is something new to say.
func (r *Reconciler) write(ctx context.Context, f forge.Commenter, of Key, id, body string) (string, error) {
	if id != "" {
		err := f.EditComment(ctx, of.Repository, of.Number, id, body)
		if !errors.Is(err, forge.ErrNoComment) {
			return id, err
		}
	}
	c, err := f.OwnComment(ctx, of.Repository, of.Number, r.marker())
	switch {
	case err != nil:
		return "", err
	case c.ID == "":
		return f.AddComment(ctx, of.Repository, of.Number, body)
	case strings.TrimSpace(strings.ReplaceAll(c.Body, "\r\n", "\n")) == strings.TrimSpace(body):
		return c.ID, nil
	}
	return c.ID, f.EditComment(ctx, of.Repository, of.Number, c.ID, body)
}

// section is what is said of one preview. Whatever did not come from here is
// escaped.
func (r *Reconciler) section(p *Preview, it *item, said sentence, words lastWords) string {
	in := it.in
	waits := behind(p, it)
	s := commitStatus(p, it, said)
	title := "Waiting"
	ready := p.Phase == Live && p.PVCUID != ""
	fails := p.Phase == Live && said.sync != "" && said.commit == p.HeadSHA
	switch {
	case ready && p.asleep() && s.State == forge.Success:
		title = "Asleep"
	case ready && waits != "" && !fails && !p.Foreign:
		title = "Ready, at an earlier commit"
	case s.State == forge.Failure || fails:
		title = "Failed"
	case ready:
		title = "Ready"
	case p.Phase == Live:
		title = "Starting"
	case s.State == forge.Success:
		title = "No preview"
	case p.Phase == Ending:
		title = "Being removed"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "**Preview %s: %s**\n", escape(p.ApplicationSet), title)
	line := func(format string, args ...any) { fmt.Fprintf(&b, "\n- "+format, args...) }
	told := s.State == forge.Failure || !ready || waits != ""
	if told {
		line("%s", escape(s.Description))
	}
	if sleeps := sleepSentence(p, in); ready && sleeps != "" && !(told && sleeps == s.Description) {
		line("%s", escape(sleeps))
	}
	if waits != "" && fails {
		line("%s", escape("Argo CD could not sync that commit: "+said.sync))
	}
	if p.Phase != Live {
		return b.String()
	}
	if s.URL != "" && ready {
		line("<%s>", s.URL)
	}
	if r.ArgoCDURL != "" {
		line("[Argo CD](<%s/applications/%s>)", strings.TrimRight(r.ArgoCDURL, "/"), p.Namespace)
	}
	if ready {
		r.access(&b, p, line, in)
	}
	if !p.ExpiresAt.IsZero() {
		warned := ""
		if !p.WarnedAt.IsZero() {
			warned = "**soon:** "
		}
		line("%sends %s, when %s: %s", warned, day(p.ExpiresAt), p.ExpiresFor, escape(remedy(p, in)))
	}
	if (s.State == forge.Failure || fails) && words.text != "" && words.of == of(said) {
		fmt.Fprintf(&b, "\n\nThe end of what its hook said:\n\n%s\n", quote(words.text))
	}
	return b.String()
}

// access says which data a preview has, and how to get in.
func (r *Reconciler) access(b *strings.Builder, p *Preview, line func(string, ...any), in Input) {
	line("masked data of %s, snapshot `%s`", day(p.dataTime()), p.Snapshot)
	if newest, at := r.seeds.newest(p.Seed); newest != "" && newest != p.Snapshot && at.After(p.dataTime()) {
		line("there is newer data, of %s: %s", day(at), escape(in.asking.reset(in)))
	}
	role, database := "app", "app"
	if r.Namespaces != nil {
		seed := r.Namespaces.seed(p.Seed)
		role, database = seed.Role, seed.Database
	}
	fmt.Fprintf(b, "\n\npsql and logs:\n\n```sh\n"+
		"kubectl -n %[1]s port-forward service/postgres 5432 &\n"+
		"PGPASSWORD=$(kubectl -n %[1]s get secret postgres -o jsonpath='{.data.password}' | base64 -d) psql -h localhost -U %[2]s %[3]s\n"+
		"kubectl -n %[1]s get pods\nkubectl -n %[1]s logs POD\n```\n", p.Namespace, shell(role), shell(database))
}

// shell quotes a word for a shell, in a block that nothing ends before its time.
func shell(word string) string {
	word = strings.NewReplacer("`", "", "\n", "").Replace(word)
	if strings.IndexFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' && r != '-' }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// invisible keeps two characters apart that would mean something together.
const invisible = "\u200b"

// plain says whether nothing of escape is for a text: words with single spaces.
func plain(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == ',', c == ';', c == ':', c == '(', c == ')', c == '-':
		case c == ' ' && i > 0 && i < len(text)-1 && text[i-1] != ' ':
		default:
			return false
		}
	}
	return true
}

// escape makes a text one that no forge reads as more: no Markdown, no HTML, no
// mention, no reference, no link, no command, and on one line.
func escape(text string) string {
	if len(text) <= maxSentence && plain(text) {
		return text
	}
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.IsSpace(r):
			return ' '
		case unicode.Is(unicode.Cf, r), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxSentence {
		text = string(runes[:maxSentence-1]) + "…"
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case strings.ContainsRune("@#!%$&~^", r):
			b.WriteString(`\` + string(r) + invisible)
		case r == '/' && (i == 0 || text[i-1] == ':' || text[i-1] == ' '):
			b.WriteString(invisible + "/")
		case strings.ContainsRune("\\`*_{}[]<>|\"", r):
			b.WriteString(`\` + string(r))
		case r == '.' && i >= 3 && strings.EqualFold(text[i-3:i], "www"):
			b.WriteString(invisible + ".")
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// limits are the bounds of comments, by forge.
func limits(forges map[string]forge.Forge) map[string]*rate.Limiter {
	all := map[string]*rate.Limiter{}
	for name := range forges {
		all[name] = rate.NewLimiter(rate.Every(commentEvery), commentsAtOnce)
	}
	return all
}

// commentsOf plans the comments of a repository. The caller holds mu.
func (r *Reconciler) commentsOf(repo *repository, items []*item, e *errands) {
	if !r.Comments || repo.forge == nil {
		return
	}
	room := int(r.comments[repo.forge.Name()].TokensAt(e.now))
	byNumber := map[int64][]*item{}
	for _, it := range items {
		byNumber[it.key.Number] = append(byNumber[it.key.Number], it)
	}
	for _, items := range byNumber {
		slices.SortFunc(items, func(a, b *item) int { return cmp.Compare(a.key.ApplicationSet, b.key.ApplicationSet) })
		r.comment(repo, items, &room, e)
		for _, it := range items {
			if it.is != nil && it.is.Phase == Live && it.in.Comments {
				r.findLastWords(repo, it.is, e)
			}
			if it.is != nil && it.is.Phase == Live && r.seeds.old(it.is.Seed, e.now) && e.want(r.seedTask(repo, it.is.Seed)) {
				r.seeds.asking(it.is.Seed)
			}
		}
	}
	for n := range repo.comments {
		if len(byNumber[n]) == 0 {
			delete(repo.comments, n)
		}
	}
}

// newest is the newest usable snapshot of a seed that was seen, and when its data
// was imported.
func (b *seedBook) newest(seed string) (name string, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.seen[seed]
	return s.name, s.dataAt
}

// old says whether what is told of a seed's newest snapshot should be looked at
// again, which nobody does yet.
func (b *seedBook) old(seed string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.seen[seed]
	age := now.Sub(s.at)
	return !s.asking && (!ok || age < 0 || age >= mendEvery)
}

// importedAt is when the import behind a snapshot finished, as its Backup says.
func importedAt(annotations map[string]string, name, seed string) time.Time {
	if at, err := time.Parse(time.RFC3339, annotations[snapshot.AnnotationDataTime]); err == nil {
		return at
	}
	at, _ := snapshot.TimeOf(name, seed)
	return at
}
