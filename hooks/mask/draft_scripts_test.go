package mask

import "testing"

func TestSpoken(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"shippedAt":       "shipped_at",
		"straße":          "straße",
		"お届け先電話":          "お届け先_phone",
		"顧客番号":            "customer_番号",
		"メールアドレス2":        "email_2",
		"性別":              "gender",
		"出生日期":            "born",
		"주민등록번호":          "national_id",
		"Дата_рождения":   "дата_born",
		"подполковник":    "подполковник", // words of these scripts count as a whole
		"Ημ/νία_γέννησης": "ημ/νια_born",
		"ΤΗΛΕΦΩΝΟ":        "phone",
		"رقم_الهاتف":      "رقم_phone",
		"注文_status":       "注文_status",
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
