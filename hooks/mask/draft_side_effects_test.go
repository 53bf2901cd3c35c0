package mask

import (
	"strings"
	"testing"
)

// A draft leaves what acts without rows, and says so, but not what rows of others
// need.
func TestDraftDisarms(t *testing.T) {
	t.Parallel()
	inSchema := func(schema string, tab Table) Table {
		tab.Schema = schema
		return tab
	}
	queue := []string{"id int8!", "queue_name text", "payload jsonb", "attempts int4", "locked_at timestamptz", "run_at timestamptz"}
	for name, c := range map[string]struct {
		table Table
		idle  bool
	}{
		"river":            {tableOf("river_job", "id int8!", "args jsonb"), true},
		"oban":             {tableOf("oban_jobs", "id int8!", "args jsonb"), true},
		"good job":         {tableOf("good_jobs", "id uuid!", "serialized_params jsonb"), true},
		"delayed job":      {tableOf("delayed_jobs", "id int8!", "handler text"), true},
		"graphile worker":  {inSchema("graphile_worker", tableOf("_private_jobs", "id int8!", "payload json")), true},
		"pg-boss":          {inSchema("pgboss", tableOf("job", "id uuid!", "data jsonb")), true},
		"quartz":           {tableOf("QRTZ_TRIGGERS", "sched_name text!"), true},
		"pg_cron":          {inSchema("cron", tableOf("job", "jobid int8!", "command text")), true},
		"outbox":           {tableOf("mail_outbox", "id int8!", "body text"), true},
		"debezium outbox":  {tableOf("OutboxEvents", "id uuid!", "payload jsonb"), true},
		"own queue":        {tableOf("export_tasks", queue...), true},
		"sessions":         {tableOf("django_session", "session_key varchar(40)!", "session_data text!"), true},
		"refresh tokens":   {inSchema("auth", tableOf("refresh_tokens", "id int8!", "token varchar(255)")), true},
		"push tokens":      {tableOf("device_tokens", "id int8!", "token text"), true},
		"webhook attempts": {tableOf("webhook_deliveries", "id int8!", "url text"), true},
		"mails by shape":   {tableOf("emails", "id int8!", "recipient text", "body text", "send_at timestamptz", "attempts int4"), true},
		"reminders":        {tableOf("user_reminders", "id int8!", "user_id int8", "scheduled_at timestamptz", "retry_count int4"), true},
		"webhook shape":    {tableOf("webhooks", "id int8!", "url text", "payload jsonb", "next_attempt_at timestamptz", "last_error text"), true},
		"schedules":        {tableOf("schedules", "id int8!", "cron text", "command text", "next_run_at timestamptz", "last_run_at timestamptz"), true},
		"endpoints":        {tableOf("webhooks", "id int8!", "url text", "secret text", "enabled bool"), false},
		"chat":             {tableOf("messages", "id int8!", "author_id int8", "body text", "sent_at timestamptz"), false},
		"timetable":        {tableOf("schedules", "id int8!", "room text", "teacher_id int8", "weekday text"), false},
		"todo tasks":       {tableOf("tasks", "id int8!", "title text", "priority text", "done bool"), false},
		"job offers":       {tableOf("job_offers", "id int8!", "title text", "salary int4"), false},
		"training":         {tableOf("training_sessions", "id int8!", "held_on date"), false},
		"orders":           {tableOf("orders", "id int8!", "status text"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other := tableOf("other", "id int8!")
			for _, needed := range []bool{false, true} {
				if needed {
					other = tableOf("other", "id int8!", "ref "+c.table.Columns[0].Type).references(c.table.Name, "ref="+c.table.Columns[0].Name)
					other.ForeignKeys[0].References.Schema = c.table.Schema
				}
				catalog := Catalog{Tables: []Table{c.table, other}}
				draft := string(Draft(catalog, nil))
				if got, want := strings.Contains(draft, "rows: none   # decide: "), c.idle && !needed; got != want {
					t.Errorf("without rows is %v, want %v (needed %v)\n%s", got, want, needed, draft)
				}
				if strings.Contains(draft, "rows: none") != strings.Contains(draft, "# - left without rows: ") {
					t.Errorf("what has no rows is not asked about:\n%s", draft)
				}
				p, err := ParsePolicy([]byte(draft))
				if err != nil {
					t.Fatalf("%v\n%s", err, draft)
				}
				if _, err := Compile(p, keyOf(t), catalog); err != nil {
					t.Errorf("%v\n%s", err, draft)
				}
			}
		})
	}
}
