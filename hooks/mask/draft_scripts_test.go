package mask

import (
	"strings"
	"testing"
)

func TestSpoken(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"shippedAt":       "shipped_at",
		"straße":          "straße",
		"お届け先電話":          "お届け先_phone",
		"顧客番号":            "customer_number",
		"メールアドレス2":        "email_2",
		"性別":              "gender",
		"出生日期":            "born",
		"주민등록번호":          "national_id",
		"Дата_рождения":   "date_born",
		"подполковник":    "подполковник", // words of these scripts count as a whole
		"Ημ/νία_γέννησης": "ημ/νια_born",
		"ΤΗΛΕΦΩΝΟ":        "phone",
		"رقم_الهاتف":      "number_phone",
		"注文_status":       "orders_status",
	} {
		if got := spoken(name); got != want {
			t.Errorf("%s is spoken %s, want %s", name, got, want)
		}
	}
}

// What a name says in its own script counts as what it says in English.
func TestDraftOfOtherScripts(t *testing.T) {
	t.Parallel()
	table := Name{"public", "顧客"}
	for column, want := range map[string]string{
		"性別 text": "null", "Пол int4": "null", "국적 text": "null", "διάγνωση text": "null",
		"生年月日 date": "year_only", "Дата_рождения date": "year_only", "年収 int4": "number_noise", "راتب numeric": "number_noise",
		"パスワード text": "credential", "暗証番号 text": "credential", "お届け先電話 text": "phone", "氏名 text": "full_name",
	} {
		c := columnOf(column)
		if got := propose(table, &c, nil); got.rule != want {
			t.Errorf("%s: %s is proposed, want %s", column, got.rule, want)
		}
	}
}

// What acts, who logs in, how old rows are and what columns point to is told from names
// of six scripts as from English ones.
func TestEveryJudgeOfOtherScripts(t *testing.T) {
	t.Parallel()
	state := func(table string, columns ...string) *tableState {
		c := tableOf(table, columns...)
		s := &tableState{Table: &c, byName: map[string]*columnState{}}
		for i := range c.Columns {
			s.columnStates = append(s.columnStates, &columnState{Column: &c.Columns[i], table: s})
		}
		return s
	}
	for _, jobs := range []*tableState{
		state("ジョブ", "優先度 int4", "ペイロード text", "試行回数 int4", "エラー text"),
		state("任务", "优先级 int4", "执行时间 timestamptz", "尝试次数 int4", "错误 text"),
		state("작업", "우선순위 int4", "실행시각 timestamptz", "시도횟수 int4", "오류 text"),
		state("Задания", "приоритет int4", "запуск timestamptz", "попыток int4", "ошибка text"),
		state("Εργασίες", "προτεραιότητα int4", "payload text", "προσπάθειες int4", "σφάλμα text"),
		state("مهام", "الأولوية int4", "payload text", "محاولات int4", "خطأ text"),
	} {
		if why := jobs.sideEffect(); why != asksJobs {
			t.Errorf("%s: %q", jobs.Name, why)
		}
	}
	for table, want := range map[string]string{
		"セッション": asksSessions, "会话": asksSessions, "세션": asksSessions, "Сессии": asksSessions, "συνεδρίες": asksSessions, "جلسات": asksSessions,
		"メール送信待ち": asksOutbox, "发件箱": asksOutbox, "발신함": asksOutbox, "Исходящие": asksOutbox, "εξερχόμενα": asksOutbox, "الصادر": asksOutbox,
		"顧客": "", "Заказы": "",
	} {
		if why := state(table, "id int8").sideEffect(); why != want {
			t.Errorf("%s: %q, want %q", table, why, want)
		}
	}
	for _, columns := range [][2]string{
		{"メール", "パスワード"}, {"邮箱", "密码"}, {"이메일", "비밀번호"}, {"почта", "хеш_пароля"}, {"email", "κωδικός_πρόσβασης"}, {"بريد", "كلمة_المرور"},
	} {
		c := Catalog{Tables: []Table{tableOf("t", "id int8", columns[0]+" text", columns[1]+" text")}}
		if text := string(Draft(c, nil)); !strings.Contains(text, "password: '"+columns[1]+"'}") {
			t.Errorf("no logins by %s and %s:\n%s", columns[0], columns[1], text)
		}
	}
	for _, created := range []string{"作成日時", "创建时间", "생성일", "создан", "δημιουργήθηκε", "أنشئ", "erstellt_date"} {
		if got := state("t", created+" timestamptz").subsetCondition(); !strings.Contains(got, created) {
			t.Errorf("the newest by %s: %q", created, got)
		}
	}
	for from, to := range map[[2]string][2]string{
		{"注文", "顧客番号"}: {"顧客", "番号"}, {"заказы", "клиент_id"}: {"клиенты", "id"}, {"παραγγελίες", "πελάτη_id"}: {"πελάτες", "id"}, {"طلبات", "عميل_id"}: {"عملاء", "id"}, {"订单", "客户编号"}: {"客户", "编号"}, {"주문", "고객번호"}: {"고객", "번호"},
	} {
		side := func(n [2]string) joinSide { return joinSide{name: ColumnName{"public", n[0], n[1]}} }
		if !side(from).pointsTo(side(to)) {
			t.Errorf("%s.%s does not point to %s", from[0], from[1], to[0])
		}
	}
	table := Name{"public", "t"}
	for column, want := range map[string]string{
		"téléphone text": "phone", "Prénom text": "first_name", "Vergütung numeric": "number_noise", "Straße text": "street", "contraseña text": "credential", "hasło text": "credential", "şifre text": "credential",
		"номер_телефона int8": "key", "αριθμός_τηλεφώνου int8": "key", "رقم_الهوية int8": "key", "national_id int8": "key", "steuer_id numeric": "key", "phone_id int8": "keep", "認証コード text": "credential",
	} {
		c := columnOf(column)
		if got := propose(table, &c, nil); got.rule != want {
			t.Errorf("%s: %s is proposed, want %s", column, got.rule, want)
		}
	}
}
