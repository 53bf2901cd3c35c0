package mask

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// scriptWords are words of columns' names in scripts other than the Latin, and the
// English ones that the draft judges them as: those that decide whether something is
// masked, and the plainest of those that say it is about nobody. Greek stands without
// accents, Arabic without its article.
var scriptWords = func() map[string]string {
	m := map[string]string{}
	for english, list := range map[string]string{
		"full_name":         `氏名 姓名 お名前 フリガナ ふりがな 성명 фио ονοματεπωνυμο`,
		"first_name":        `имя отчество`,
		"last_name":         `苗字 名字 фамилия прізвище επωνυμο`,
		"name":              `名前 名称 名稱 이름 название назва ονομα اسم שם`,
		"product_name":      `商品名 品名 店舗名 店名 상품명`,
		"address":           `住所 番地 地址 주소 адрес адреса διευθυνση عنوان כתובת`,
		"street":            `улица вулиця οδοσ شارع`,
		"city":              `город місто πολη مدينة`,
		"postcode":          `郵便番号 邮编 郵遞區號 우편번호`,
		"phone":             `電話番号 電話 携帯 手机 手机号 手机号码 手機 电话 전화번호 전화 휴대폰 휴대전화 телефон телефона τηλεφωνο τηλεφωνου κινητο هاتف جوال טלפון`,
		"email":             `メールアドレス メール 邮箱 郵箱 电子邮件 電子郵件 이메일 почта почты пошта بريد`,
		"born":              `生年月日 誕生日 生日 出生日期 생년월일 рождения народження γεννησησ ميلاد`,
		"gender":            `性別 性别 성별 пол стать φυλο جنس מין`,
		"nationality":       `国籍 國籍 국적 национальность υπηκοοτητα جنسية`,
		"citizenship":       `гражданство громадянство ιθαγενεια`,
		"ethnicity":         `民族`,
		"religion":          `宗教 종교 вероисповедание θρησκευμα ديانة דת`,
		"marital_status":    `婚姻 婚姻状况 결혼여부`,
		"blood_type":        `血液型 血型 혈액형`,
		"diagnosis":         `病名 診断 诊断 診斷 진단 диагноз діагноз διαγνωση تشخيص אבחנה`,
		"medical_history":   `既往歴 病史 병력`,
		"salary":            `給与 月給 年収 工资 薪资 薪資 급여 연봉 зарплата оклад доход μισθοσ راتب`,
		"password":          `パスワード 密码 密碼 비밀번호 пароль пароля προσβασησ مرور סיסמה`,
		"pin":               `暗証番号`,
		"verification_code": `認証コード 認証番号 验证码 驗證碼 인증번호 인증코드`,
		"national_id":       `マイナンバー 個人番号 身份证 身份证号 身分證 주민등록번호 주민번호 снилс αμκα هوية`,
		"passport":          `护照 護照 여권번호 паспорт паспорта διαβατηριο διαβατηριου`,
		"tax_id":            `инн αφμ`,
		"account_number":    `口座番号 银行账号 계좌번호 счёта счета λογαριασμου`,
		"card_number":       `銀行卡號 银行卡号 카드번호 карты`,
		"driver_license":    `免許証 驾驶证 운전면허`,
		"notes":             `備考 备注 備註 비고 примечание примітка σημειωσεισ ملاحظات`,
		"body":              `本文 内容 본문`,
		"employer":          `勤務先 직장`,
		"company":           `会社名 公司 회사`,
		"contact":           `担当 担当者 负责人 담당자`,
		"customer":          `顧客 お客様 客户 客戶 고객 клиент клиента клієнт πελατησ πελατη عميل`,
		"patient":           `患者 환자 пациент пациента пацієнт ασθενησ ασθενη مريض`,
		"employee":          `社員 従業員 员工 員工 직원 сотрудник сотрудника`,
		"member":            `会員 회원`,
		"people":            `者`,
		"driver":            `運転手`,
		"author":            `作者 작성자 автор`,
		"login":             `ログイン ユーザー名 用户名 使用者名稱 아이디 логин логін`,
		"username":          `ニックネーム 昵称 暱稱 닉네임 никнейм`,
		"token":             `トークン 令牌 토큰 токен`,
		"secret":            `秘密鍵 密钥 密鑰 비밀키 секрет`,
		"session":           `セッション 会话 會話 세션 сессия сессии сеанс сеансы συνεδρια συνεδριεσ جلسة جلسات`,
		"jobs":              `ジョブ 任务 任務 작업 задание задания εργασιεσ مهام`,
		"queue":             `キュー 待ち行列 队列 佇列 대기열 очередь черга ουρα طابور`,
		"outbox":            `送信箱 送信待ち 发件箱 寄件匣 발신함 исходящие εξερχομενα صادر`,
		"attempts":          `試行回数 尝试次数 시도횟수 попытки попыток προσπαθειεσ محاولات`,
		"run_at":            `実行予定 实行日时 执行时间 執行時間 실행시각 запуск`,
		"last_error":        `エラー 错误 錯誤 오류 ошибка σφαλμα خطأ`,
		"priority":          `優先度 优先级 優先級 우선순위 приоритет προτεραιοτητα أولوية`,
		"payload":           `ペイロード 载荷 нагрузка`,
		"created":           `作成日時 登録日時 登録日 創建時間 创建时间 생성일 등록일 создан создано δημιουργηθηκε أنشئ`,
		"date":              `日 日付 日期 날짜 일자 дата ημερομηνια تاريخ`,
		"time":              `日時 時刻 时间 時間 시간 время ωρα وقت`,
		"code":              `コード 代码 代碼 코드 код κωδικοσ رمز`,
		"number":            `番号 编号 編號 번호 номер αριθμοσ رقم`,
		"user":              `ユーザー 利用者 用户 用戶 사용자 пользователь користувач χρηστησ مستخدم`,
		"users":             `пользователи χρηστεσ مستخدمين`,
		"customers":         `клиенты πελατεσ عملاء`,
		"orders":            `注文 订单 訂單 주문 заказ заказы παραγγελια παραγγελιεσ طلبات`,
		"prefecture":        `都道府県 省份 도시 область регион νομοσ محافظة منطقة`,
		"status":            `状態 状态 狀態 상태 статус κατασταση حالة`,
		"type":              `区分 種別 種類 类型 類型 유형 тип`,
		"currency":          `通貨 货币 валюта νομισμα`,
		"amount":            `金額 金额 금액`,
		"price":             `単価 单价 단가 цена`,
		"quantity":          `数量 數量 수량`,
	} {
		for w := range strings.FieldsSeq(list) {
			m[w] = english
		}
	}
	return m
}()

// longestScriptWord is the most characters that one of them has.
const longestScriptWord = 8

var greekLetters = strings.NewReplacer("ά", "α", "έ", "ε", "ή", "η", "ί", "ι", "ϊ", "ι", "ΐ", "ι", "ό", "ο", "ύ", "υ", "ϋ", "υ", "ώ", "ω", "ς", "σ")

// spoken is a name in snake case, its words English where scriptWords knows them:
// お届け先電話 becomes お届け先_phone.
func spoken(s string) string {
	name := snake(s)
	if !strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxLatin1 }) {
		return name
	}
	var out []string
	for word := range strings.FieldsFuncSeq(greekLetters.Replace(strings.ToLower(name)), func(r rune) bool { return r == '_' || r == '\u3000' }) {
		if english, ok := scriptWords[strings.TrimPrefix(word, "ال")]; ok {
			out = append(out, english)
			continue
		}
		out = append(out, unspaced(word)...)
	}
	return strings.Join(out, "_")
}

// unspaced splits a name of a script that has no spaces at the words that are known,
// the longest first.
func unspaced(word string) (out []string) {
	rest := ""
	for len(word) > 0 {
		known, length := "", 0
		for i, n := 0, 0; n < longestScriptWord && i < len(word); n++ {
			r, size := utf8.DecodeRuneInString(word[i:])
			if !unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) && r != 'ー' {
				break
			}
			i += size
			if english, ok := scriptWords[word[:i]]; ok {
				known, length = english, i
			}
		}
		if known == "" {
			_, size := utf8.DecodeRuneInString(word)
			rest, word = rest+word[:size], word[size:]
			continue
		}
		if rest != "" {
			out, rest = append(out, rest), ""
		}
		out, word = append(out, known), word[length:]
	}
	if rest != "" {
		out = append(out, rest)
	}
	return out
}
