package mask

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// benchPolicy covers the sample's row mix: users with eight masked columns,
// events with one jsonb and two masked paths, a wide text log.
const benchPolicy = `
version: 1
tables:
  public.users:
    columns:
      id: keep
      email: email
      first_name: first_name
      last_name: last_name
      phone: phone
      street: street
      city: city
      postcode: postcode
      birthday: {mask: date_shift, by: id, days: 365}
      country: keep
      active: keep
      created_at: keep
      updated_at: keep
  public.events:
    columns:
      id: keep
      user_id: keep
      kind: keep
      at: keep
      payload:
        mask: json
        paths: {$: keep, $.contact.email: email, $.ip: ip}
  public.audit_log:
    columns:
      id: keep
      at: keep
      actor: username
      message: text
      detail: keep
`

func benchCatalog() Catalog {
	col := func(name, base string) Column { return Column{Name: name, Type: base, BaseType: base} }
	return Catalog{Tables: []Table{
		{Schema: "public", Name: "users", Columns: []Column{
			col("id", "int8"), col("email", "text"), col("first_name", "text"), col("last_name", "text"), col("phone", "text"),
			col("street", "text"), col("city", "text"), col("postcode", "text"), col("birthday", "date"), col("country", "text"),
			col("active", "bool"), col("created_at", "timestamptz"), col("updated_at", "timestamptz"),
		}, Uniques: []Unique{{Name: "users_pkey", Columns: []string{"id"}, Primary: true}, {Name: "users_email_key", Columns: []string{"email"}}}},
		{Schema: "public", Name: "events", Columns: []Column{
			col("id", "int8"), col("user_id", "int8"), col("kind", "text"), col("at", "timestamptz"), col("payload", "jsonb"),
		}},
		{Schema: "public", Name: "audit_log", Columns: []Column{
			col("id", "int8"), col("at", "timestamptz"), col("actor", "text"), col("message", "text"), col("detail", "text"),
		}},
	}}
}

func keyOf(tb testing.TB) Key {
	tb.Helper()
	k, err := NewKey([]byte("0123456789abcdef0123456789abcdef-for-tests-only"))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func mustCompile(tb testing.TB, policy string, c Catalog) *Plan {
	tb.Helper()
	p, err := ParsePolicy([]byte(policy))
	if err != nil {
		tb.Fatal(err)
	}
	plan, err := Compile(p, keyOf(tb), c)
	if err != nil {
		tb.Fatal(err)
	}
	return plan
}

// benchRows makes rows like those of the sample: all different, as long as
// pg_dump's.
func benchRows(table string, n int) [][]byte {
	var rows [][]byte
	pick := func(list []string, i int) string { return list[i*7919%len(list)] }
	for i := range n {
		switch table {
		case "users":
			g, f := pick(givenNames, i), pick(familyNames, i/3+i)
			rows = append(rows, fmt.Appendf(nil, "%d\t%s.%s%d@mail%d.acme.test\t%s\t%s\t+49 170 %07d\t%s %s %d\t%s\t%05d\t19%02d-%02d-%02d\tDE\tt\t2024-03-%02d 10:11:12.%06d+00\t2024-05-01 08:00:00+00",
				i+1, strings.ToLower(g), strings.ToLower(f), i, i%50, g, f, i*37%10000000, pick(streets, i), pick(streetKinds, i), i%200, pick(cities, i), i%100000, i%100, i%12+1, i%28+1, i%28+1, i%1000000))
		case "events":
			rows = append(rows, fmt.Appendf(nil, `%d`+"\t%d\t%s\t2024-04-%02d 01:02:03.%06d+00\t"+`{"ip": "10.%d.%d.%d", "page": "/products/%d", "agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "price": %d.%02d, "items": [%d, %d, %d], "contact": {"email": "user%d@mail%d.acme.test", "opt_in": true}}`,
				i+1, i*31%100000, []string{"view", "click", "purchase"}[i%3], i%28+1, i%1000000, i%200, i%251, i%241, i%5000, i%900, i%100, i%10, i%20, i%30, i*31%100000, i%50))
		default:
			rows = append(rows, fmt.Appendf(nil, "%d\t2024-04-%02d 01:02:03.%06d+00\tuser%d\tUser %s %s (id %d) changed the delivery address of order %d from %s %d to %s %d, reason given: the old one was no longer valid since the move\t%s",
				i+1, i%28+1, i%1000000, i*31%100000, pick(givenNames, i), pick(familyNames, i), i, i*3, pick(streets, i), i%200, pick(streets, i+1), i%100,
				strings.Repeat("request id 7f3a status 200 route /api/v1/orders duration 12ms upstream orders-6d9f ", 6)))
		}
	}
	return rows
}

// cpu is the time this thread has had on a processor: other work on the
// machine does not count.
func cpu() time.Duration {
	var r syscall.Rusage
	const thread = 1 // RUSAGE_THREAD
	if err := syscall.Getrusage(thread, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func benchTable(b *testing.B, plan *Plan, tables ...string) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var rows [][]byte
	var workers []*Worker
	var bytes int64
	// As many bytes of users and events, and a little less of the log, as in
	// the sample.
	count := map[string]int{"users": 3000, "events": 3000, "audit_log": 1200}
	for _, t := range tables {
		w := plan.Table("public", t).NewWorker()
		for _, r := range benchRows(t, count[t]) {
			rows, workers = append(rows, r), append(workers, w)
			bytes += int64(len(r)) + 1
		}
	}
	dst := make([]byte, 0, 1<<20)
	b.SetBytes(bytes)
	b.ReportAllocs()
	start := time.Duration(0)
	done, masked := int64(0), 0
	var before, after runtime.MemStats
	for b.Loop() {
		masked += len(rows)
		if start == 0 {
			runtime.ReadMemStats(&before)
			start = cpu()
		} else {
			done += bytes
		}
		dst = dst[:0]
		for i, row := range rows {
			if len(dst) > 1<<19 {
				dst = dst[:0]
			}
			var err error
			if dst, err = workers[i].Append(dst, row); err != nil {
				b.Fatal(err)
			}
		}
	}
	done += bytes
	rate := float64(done) / 1e6 / (cpu() - start).Seconds()
	runtime.ReadMemStats(&after)
	allocations := float64(after.Mallocs-before.Mallocs) / float64(masked)
	b.ReportMetric(rate, "MB/cpu-s")
	b.ReportMetric(float64(len(rows)), "rows/op")
	b.ReportMetric(allocations, "allocs/row")
	name := ""
	if len(tables) == 1 {
		name = "_" + tables[0]
	}
	fmt.Fprintf(os.Stderr, "FIGURE mask_rate%s %.0f MB/s\nFIGURE mask_allocations%s %.2f per_row\n", name, rate, name, allocations)
}

func BenchmarkMaskUsers(b *testing.B) {
	benchTable(b, mustCompile(b, benchPolicy, benchCatalog()), "users")
}

func BenchmarkMaskEvents(b *testing.B) {
	benchTable(b, mustCompile(b, benchPolicy, benchCatalog()), "events")
}

func BenchmarkMaskAuditLog(b *testing.B) {
	benchTable(b, mustCompile(b, benchPolicy, benchCatalog()), "audit_log")
}

func BenchmarkMaskMix(b *testing.B) {
	benchTable(b, mustCompile(b, benchPolicy, benchCatalog()), "users", "events", "audit_log")
}
