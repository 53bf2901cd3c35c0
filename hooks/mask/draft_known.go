package mask

import (
	"regexp"
	"strings"
)

// knownWords are the words for states and kinds: values made of nothing else say
// nothing about anybody. They are of several languages, in lower case and without
// accents.
var knownWords = func() map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(`
true false yes no y n t f on off ok none null unknown other na all any both default auto automatic manual custom system internal external
active inactive activated deactivated enabled disabled pending waiting waited queued scheduled running started starting stopped paused resumed
done finished complete completed incomplete failed failure success successful succeeded error errored warning warn info debug notice trace fatal critical
open opened opening closed closing reopened new old draft published unpublished archived deleted removed restored hidden visible public private secret
internal shared protected locked unlocked blocked banned suspended muted expired valid invalid verified unverified confirmed unconfirmed
approved rejected declined denied accepted refused requested submitted reviewed review reviewing processing processed processor in progress todo
paid unpaid partially overdue refunded refund voided void cancelled canceled cancel charged chargeback authorized captured settled disputed
shipped delivered returned dispatched packed picked transit backordered preorder ordered received receipt order orders invoice quote
created updated changed deleted added removed edited viewed view read write created clicked click opened bounced sent send queued delivered joined left
join leave kick ban mute promote demote rename login logout signup signin signed up register registered reset password changed
user users admin admins administrator member members guest owner editor viewer author moderator manager staff customer supplier vendor operator agent bot
create update delete insert select get post put patch head options list show index search export import upload download print
low lower lowest medium normal high higher highest urgent critical minor major trivial blocker important priority severity
small large big tiny huge xs s m l xl xxl xxxl short long wide narrow thin thick
red green blue yellow orange purple pink black white grey gray brown silver gold dark light
email mail sms push phone call chat web website app mobile desktop tablet api webhook in-app store shop online offline fax letter
card cash transfer bank paypal stripe visa mastercard amex sepa invoice voucher giftcard apple google pay debit credit wire cheque check
text html markdown plain json xml csv pdf image images video audio file files document documents link photo png jpg jpeg gif svg zip doc docx xls xlsx txt mp3 mp4
daily weekly monthly yearly annually hourly quarterly once never always sometimes often day days week weeks month months year years hour hours minute minutes second seconds
monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun january february march april may june july august september october november december
spring summer autumn winter morning evening night noon
kg g mg lb lbs oz t km m cm mm mi ft in inch l ml cl gal pcs pc piece pieces box boxes unit units pair set pack bottle pallet each dozen roll sheet
free basic standard plus pro premium business enterprise trial starter team personal gold silver bronze platinum
north south east west left right top bottom center centre front back inside outside
home work office billing shipping delivery main primary secondary tertiary first second third last next previous
single double multiple one two three four five six seven eight nine ten zero
bug feature task story epic incident question issue request change problem support sales marketing finance legal engineering operations hr it
ios android windows macos linux chrome firefox safari edge opera other
eur usd gbp chf sek nok dkk pln czk huf ron bgn try rub uah jpy cny inr aud cad nzd brl mxn ars clp cop zar
utc gmt cet cest est pst
offen geschlossen neu bezahlt unbezahlt storniert versendet geliefert entwurf aktiv inaktiv gesperrt erledigt hoch mittel niedrig ja nein wartend bestellt retour
aufgenommen entlassen verlegt verfugbar vergeben genehmigt abgelehnt gekundigt befristet unbefristet vollzeit teilzeit bar rechnung lastschrift uberweisung stuck karton
pagada pagado pendiente vencida vencido anulada anulado abierto abierta cerrado cerrada nuevo nueva activo activa inactivo transferencia tarjeta domiciliacion efectivo alta media baja si tienda telefono caja ud unidad enviado entregado
paye payee impayee ouvert ouverte ferme fermee nouveau nouvelle actif inactif brouillon publie expedie expediee livre livree annule annulee oui non haute moyenne basse virement carte cheque especes en attente cours termine terminee
pagato pagata aperto aperta chiuso chiusa nuovo nuova attivo inattivo bozza spedito consegnato annullato alto medio basso bonifico contanti carta sospeso
pago paga aberto aberta fechado fechada novo nova ativo inativo rascunho enviado entregue cancelado cancelada sim nao alta media baixa boleto pix cartao dinheiro pendente concluido
betaald open gesloten nieuw actief inactief concept verzonden geleverd geannuleerd ja nee hoog laag midden
oplacony oplacone otwarty zamkniety nowy aktywny nieaktywny szkic wyslany dostarczony anulowany tak nie wysoki sredni niski gotowka przelew
acik kapali yeni aktif pasif taslak onaylandi reddedildi beklemede tamamlandi iptal evet hayir yuksek orta dusuk nakit kart havale
новый открыт закрыт активен оплачен отменен да нет
`) {
		m[w] = true
	}
	return m
}()

// knownShapes are written by machines for machines.
var knownShapes = []*regexp.Regexp{
	regexp.MustCompile(`^(?:Africa|America|Antarctica|Arctic|Asia|Atlantic|Australia|Europe|Indian|Pacific|Etc|US)/[A-Za-z_+/0-9-]+$`),
	regexp.MustCompile(`^(?:application|audio|font|image|message|model|multipart|text|video)/[a-z0-9.+-]+$`),
	regexp.MustCompile(`^#[0-9a-fA-F]{3}(?:[0-9a-fA-F]{3}){0,1}$`),
	regexp.MustCompile(`^v?[0-9]{1,3}(?:\.[0-9]{1,4}){1,2}(?:[-+][a-z0-9.]+)?$`),
	regexp.MustCompile(`^[0-9]{1,4}$`),
	regexp.MustCompile(`^(?:[a-z]{2})(?:[-_](?:[A-Z]{2}|[A-Z][a-z]{3}))?$`), // a language, or a locale
	regexp.MustCompile(`^[A-Z]{2,3}$`),                                      // a country, a currency
}

// isKnown reports whether a value is made of what many databases hold: words for
// states and kinds, units, locales, time zones, formats.
func isKnown(v string) bool {
	if len(v) > 40 {
		return false
	}
	for _, re := range knownShapes {
		if re.MatchString(v) {
			return true
		}
	}
	words := strings.FieldsFunc(plainLetters(strings.ToLower(v)), func(r rune) bool { return strings.ContainsRune(" ._:-/", r) })
	if len(words) == 0 || len(words) > 4 {
		return false
	}
	for _, w := range words {
		if !knownWords[w] {
			return false
		}
	}
	return true
}
