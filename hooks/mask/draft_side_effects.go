package mask

import (
	"regexp"
	"slices"
	"strings"
)

// sideEffect is a kind of table whose rows make an application do something, or let
// somebody in: a preview that has them sends production's mails again.
type sideEffect struct {
	names *regexp.Regexp // schema.table in snake case
	why   string
}

// The tables of the usual libraries, and what is called like them.
var sideEffects = []sideEffect{
	{regexp.MustCompile(`^(?:.*\.(?:(?:.*_)?river_(?:job|client|client_queue|leader|queue)|que_(?:jobs|lockers|values|scheduler_audit)|good_job(?:s|_.*)|delayed_jobs?|solid_queue_.*|oban_(?:jobs|peers|producers)|qrtz_.*|django_celery_(?:beat|results)_.*|kombu_(?:message|queue)|celery_(?:taskmeta|tasksetmeta)|django_q_.*|apscheduler_jobs|procrastinate_.*|failed_jobs|job_batches|messenger_messages|scheduled_tasks|scheduled_jobs|background_jobs|queue_jobs|job_queue|jobs_queue|queue_classic_jobs|http_request_queue|backburner_jobs|sneakers_jobs|pgqueuer.*)|(?:graphile_worker|pgboss|hangfire|cron|pgmq|river|oban|quartz|faktory)\..*)$`), asksJobs},
	{regexp.MustCompile(`^.*\.(?:(?:.*_)?outbox(?:_(?:events?|messages?|entries))?|outbox_(?:state|message)|inbox_state|event_publication|transactional_events|(?:.*_)?(?:mail|email|sms|message|notification|push|webhook)_queue|queued_(?:mails?|emails?|messages?|notifications?)|(?:scheduled|pending)_(?:mails?|emails?|sms|messages?|notifications?)|webhook_(?:deliveries|attempts|messages))$`), asksOutbox},
	{regexp.MustCompile(`^.*\.(?:sessions?|user_sessions?|django_session|spring_session(?:_attributes)?|(?:oauth_|personal_)?(?:access|refresh)_tokens?|oauth_(?:access_tokens?|refresh_tokens?|auth_codes?|access_grants)|personal_access_tokens|api_tokens|(?:password|email)_reset(?:s|_tokens?)|one_time_tokens|login_tokens|remember_tokens|magic_links|verification_tokens|authtoken_token|flow_state|mfa_challenges|sso_sessions|(?:device|push|fcm|apns)_tokens?|push_subscriptions?|push_devices|web_push_subscriptions?)$`), asksSessions},
}

const (
	asksJobs     = "left without rows: jobs and schedules, which a preview would run again"
	asksOutbox   = "left without rows: messages that wait to be sent, which a preview would send again"
	asksSessions = "left without rows: sessions, tokens and devices, which let somebody in or reach somebody"
)

// queueColumns are what job queues have, whatever the table is called.
var (
	queueTable   = nameWords(`jobs?|queues?|tasks?|outbox|deliveries|dispatches|schedules?|crons?|timers?`)
	queueColumns = nameWords(`run_at|scheduled_at|schedule_at|available_at|attempts?|attempt_count|max_attempts|retries|retry_count|locked_at|locked_by|locked_until|reserved_at|leased_until|last_error|error_class|priority|payload|args|arguments|handler|job_class|job_type|queue|queue_name|cron(?:_?expression)?|command|next_(?:run|attempt|retry|try)(?:_at)?|last_run(?:_at)?|tries`)
	// What is sent, and when or how often that was tried.
	sendTable   = nameWords(`mails?|e_?mails?|messages?|notifications?|sms|push|reminders?|newsletters?|webhooks?|callbacks?|broadcasts?`)
	sendColumns = nameWords(`(?:run|scheduled?|available|reserved|locked)_at|send_(?:at|after|on)|deliver_(?:at|after)|next_(?:run|attempt|retry|try)(?:_at)?|attempts?|attempt_count|max_attempts|retries|retry_count|tries|locked_by|(?:locked|leased)_until|last_error`)
)

// sideEffect says what a table's rows would do, "" for nothing.
func (t *tableState) sideEffect() string {
	name := spoken(t.Schema) + "." + spoken(t.Name)
	for _, a := range sideEffects {
		if a.names.MatchString(name) {
			return a.why
		}
	}
	having := func(columns nameRegexp) (n int) {
		for _, c := range t.columnStates {
			if columns.MatchString(spoken(c.Name)) {
				n++
			}
		}
		return n
	}
	switch name := spoken(t.Name); {
	case queueTable.MatchString(name) && having(queueColumns) >= 4:
		return asksJobs
	case sendTable.MatchString(name) && having(sendColumns) >= 2:
		return asksOutbox
	}
	return ""
}

// emptySideEffects leaves tables with side effects without rows, unless rows of other
// tables need theirs.
func (d *drafter) emptySideEffects() {
	idle := map[*tableState]string{}
	for _, t := range d.order {
		root := t
		for hops := 0; root.PartitionOf && len(root.parentStates) > 0 && hops < 64; hops++ {
			root = root.parentStates[0]
		}
		if why := root.sideEffect(); why != "" && t.plan.Rows {
			idle[t] = why
		}
	}
	for again := true; again; {
		again = false
		for _, t := range d.order {
			if idle[t] != "" || !t.plan.Rows {
				continue
			}
			needs := func(fk ForeignKey) bool { return idle[d.tables[fk.References]] != "" }
			for _, fk := range t.ForeignKeys {
				if needs(fk) {
					delete(idle, d.tables[fk.References])
					again = true
				}
			}
		}
		for t := range idle { // partitions and their table go together
			if slices.ContainsFunc(t.parentStates, func(p *tableState) bool { return t.PartitionOf && idle[p] == "" }) {
				delete(idle, t)
				again = true
			}
		}
	}
	for t, why := range idle {
		t.plan.Rows = false
		t.emptyBecause = why
	}
}

// idleEntry is a policy's entry for a table that is left without rows, "" for
// partitions, which follow their table.
func (d *drafter) idleEntry(t *tableState) string {
	if t.emptyBecause == "" || t.PartitionOf {
		return ""
	}
	d.questions[t.emptyBecause] = append(d.questions[t.emptyBecause], t.qualified.String())
	why, _, _ := strings.Cut(strings.TrimPrefix(t.emptyBecause, "left without rows: "), ", ")
	return "    rows: none   # decide: " + why + "\n"
}
