package mask

// Words of many languages that rows of the corpus are made of, by language.

var corpusGiven = map[string]string{
	"de": "Lieselotte|Hartmut|Wiebke|Jörg|Mechthild|Sönke|Annegret|Detlef|Silke|Rüdiger|Hannelore|Torben",
	"en": "Courtney|Bradley|Tiffany|Desmond|Shaniqua|Hamish|Siobhan|Clifford|Maureen|Dwayne|Leticia|Alfie",
	"es": "Macarena|Iñigo|Rocío|Gonzalo|Lourdes|Álvaro|Begoña|Ramiro|Pilar|Nuria|Ignacio|Jimena",
	"fr": "Gaëlle|Thibault|Maëlys|Loïc|Aurélie|Bastien|Solène|Yannick|Élodie|Rémi|Capucine|Gilles",
	"it": "Ludovica|Gennaro|Beatrice|Ettore|Fiammetta|Renzo|Ornella|Tullio|Ilaria|Piero|Mirella|Oreste",
	"pt": "Thiago|Jussara|Otávio|Mariângela|Gilberto|Iracema|Vinícius|Rosângela|Wagner|Luzia|Caio|Yasmim",
	"nl": "Sjoerd|Marijke|Joost|Femke|Gerrit|Liesbeth|Teun|Hanneke|Wouter|Nienke|Bram|Saskia",
	"pl": "Bożena|Zbigniew|Jadwiga|Mirosław|Halina|Sławomir|Kinga|Radosław|Grażyna|Przemysław|Aneta|Leszek",
	"el": "Ευανθία|Λάμπρος|Χρυσούλα|Θεόδωρος|Ουρανία|Στέλιος|Αγγελική|Πέτρος|Βάσω|Ηλίας|Ζωή|Σπύρος",
	"tr": "Gülşen|Volkan|Nurcan|Serkan|Şebnem|Tolga|Hatice|Orhan|Pınar|Cemal|Derya|Uğur",
	"ru": "Лариса|Геннадий|Зинаида|Аркадий|Тамара|Эдуард|Галина|Вадим|Снежана|Ростислав|Алла|Тимофей",
	"ja": "美咲|健太|陽子|大輔|由美|拓也|直美|翔太|恵子|雄一|千尋|誠",
	"sv": "Gunilla|Håkan|Birgitta|Göran|Ulrika|Staffan|Agneta|Örjan|Kerstin|Lennart|Maj|Roland",
}

var corpusFamily = map[string]string{
	"de": "Kuhlmann|Oberhuber|Steinbrück|Wessels|Kleinschmidt|Rademacher|Vollmer|Düsterhöft|Pfaffinger|Lohmann|Grünwald|Tiedemann",
	"en": "Featherstone|Okafor|Wigglesworth|McAllister|Abernathy|Thistlewood|Ramsbottom|Kowalczyk|Pemberton|Oyelaran|Goldstein|Hathaway",
	"es": "Etxeberria|Cifuentes|Montalbán|Villanueva|Zubiri|Carrasco|Peñalver|Quesada|Urrutia|Barrientos|Olmedo|Sepúlveda",
	"fr": "Lemoine|Charpentier|Delacroix|Vasseur|Boulanger|Guillemin|Picard|Rousseau|Maréchal|Tessier|Blanchet|Pélissier",
	"it": "Quattrocchi|Malaspina|Bevilacqua|Santoro|Pellegrini|Caruso|Vitale|Mancuso|Benedetti|Sartori|Guidi|Basile",
	"pt": "Nascimento|Cavalcanti|Figueiredo|Teixeira|Bittencourt|Moreira|Guimarães|Sampaio|Drummond|Vasconcelos|Queiroz|Peixoto",
	"nl": "Hoogeveen|Dijkstra|Kuipers|Veenstra|Brouwer|Zijlstra|Timmermans|Kok|Bakker|Schouten|Postma|Wolters",
	"pl": "Brzęczyszczykiewicz|Szczepański|Gołębiowski|Wróblewska|Pawłowski|Głowacka|Maciejewski|Sikora|Zawadzki|Ostrowska|Duda|Baran",
	"el": "Καραγιάννης|Μαυρομάτης|Αθανασίου|Τσακίρης|Χατζηγεωργίου|Ράπτη|Σαμαράς|Βλάχου|Ξενάκη|Λιάπης|Δούκας|Κοτζιά",
	"tr": "Karabulut|Özdemir|Aydoğan|Çetinkaya|Tosun|Erdoğdu|Bozkurt|Şimşek|Altıntaş|Güneş|Koçak|Uysal",
	"ru": "Лебедева|Морозов|Журавлёва|Громов|Белякова|Зайцев|Тихонова|Рыбаков|Кудрявцева|Щербаков|Гусева|Фомин",
	"ja": "高橋|伊藤|小林|中村|加藤|吉田|山口|松本|井上|木村|清水|森",
	"sv": "Lindqvist|Hedström|Sjöberg|Nyström|Åkesson|Wallin|Forsberg|Ekholm|Björklund|Dahlgren|Söderlund|Öberg",
}

var corpusStreets = map[string]string{
	"de": "Lindenweg|Am Mühlbach|Goethestraße|Hintere Gasse|Bahnhofstr.|Zum Anger", "en": "Mill Rd|Orchard Close|Seventh Ave|Station Approach|Elm Dr|Kings Parade",
	"es": "Calle Mayor|Av. de la Paz|Plaza del Sol|Camino Viejo|C/ Real|Ronda Norte", "fr": "rue des Lilas|avenue Foch|impasse du Moulin|bd Voltaire|quai Sud|chemin Vert",
	"it": "Via Garibaldi|Corso Italia|Piazza Dante|Viale dei Pini|Vicolo Stretto|Via Po", "pt": "Rua das Flores|Av. Brasil|Travessa Velha|Rua XV|Alameda Santos|Largo Novo",
	"nl": "Kerkstraat|Dorpsweg|Prinsengracht|Molenlaan|Havenkade|Singel", "pl": "ul. Długa|ul. Polna|al. Lipowa|pl. Wolności|ul. Krótka|os. Leśne",
	"el": "Λεωφόρος Συγγρού|Ερμού|Αγίας Σοφίας|Τσιμισκή|Πατησίων|25ης Μαρτίου", "tr": "Atatürk Cad.|Gül Sok.|İnönü Bulvarı|Çınar Sok.|Lale Cad.|Deniz Sok.",
	"ru": "ул. Ленина|пр. Мира|Садовая ул.|ул. Гагарина|Лесная|наб. Реки", "ja": "東京都港区芝|大阪市北区梅田|名古屋市中区栄|札幌市中央区北|福岡市博多区東|京都市左京区下",
	"sv": "Storgatan|Kyrkvägen|Björkallén|Hamngatan|Skolgränd|Ängsvägen",
}

var corpusCities = map[string]string{
	"de": "Uelzen|Bad Tölz|Kleve|Suhl|Husum|Gera|Lindau", "en": "Slough|Truro|Tulsa|Fargo|Derby|Boise", "es": "Lugo|Écija|Teruel|Mérida|Soria|Elche", "fr": "Niort|Auch|Vannes|Sète|Laval|Dole",
	"it": "Lecce|Asti|Cuneo|Rieti|Udine|Enna", "pt": "Olinda|Marília|Braga|Ilhéus|Évora|Sobral", "nl": "Assen|Venlo|Goes|Zeist|Meppel|Ede", "pl": "Opole|Ełk|Radom|Sopot|Płock|Żory",
	"el": "Δράμα|Βέροια|Πρέβεζα|Καβάλα|Άρτα|Σπάρτη", "tr": "Rize|Muş|Edirne|Sivas|Uşak|Bolu", "ru": "Тверь|Омск|Псков|Чита|Ухта|Елец", "ja": "浜松市|長崎市|秋田市|那覇市|松山市|盛岡市", "sv": "Umeå|Växjö|Falun|Borås|Luleå|Ystad",
}

var corpusSentences = map[string]string{
	"de": "Frau {f} klagt seit {n} Tagen über Schmerzen|bitte vor {n} Uhr bei {g} anrufen|wohnt bei der Tochter {g}, Schlüssel beim Nachbarn|hat die Termine nicht wahrgenommen, {n} Mahnungen",
	"en": "spoke to {g} {f} about the late delivery, call back in {n} days|left a voicemail for {g}|{g} says the {n} items were damaged on arrival|please do not disturb after {n}",
	"es": "habló con {g} {f}, volver a llamar en {n} días|prefiere que le escriban por la tarde|la entrega número {n} la recoge su hermano {g}|no abonar sin hablar antes con {f}",
	"fr": "a parlé avec {g} {f}, rappeler dans {n} jours|souhaite être livrée chez sa mère {g}|ne répond plus depuis {n} semaines|client fidèle depuis {n} ans, voir avec {f}",
	"it": "ha parlato con {g} {f}, richiamare tra {n} giorni|preferisce essere chiamata la sera|il pacco numero {n} ritirato da {g}|non rispondere senza avvisare {f}",
	"pt": "falou com {g} {f}, ligar em {n} dias|prefere receber na casa da mãe {g}|não atende há {n} semanas|pagar somente depois de falar com {f}",
	"nl": "heeft met {g} {f} gesproken, terugbellen over {n} dagen|wil liever bij zijn moeder {g} ontvangen|reageert al {n} weken niet|eerst met {f} overleggen voor betaling",
	"pl": "rozmawiała z {g} {f}, oddzwonić za {n} dni|woli odbierać u matki {g}|nie odbiera od {n} tygodni|przed zapłatą porozmawiać z {f}",
	"el": "μίλησε με {g} {f}, να τον καλέσουμε σε {n} μέρες|προτιμά παραλαβή από τη μητέρα του {g}|δεν απαντά εδώ και {n} εβδομάδες|να μιλήσουμε πρώτα με {f}",
	"tr": "{g} {f} ile konuştu, {n} gün sonra aranacak|annesi {g} teslim alacak|{n} haftadır cevap vermiyor|ödemeden önce {f} ile görüşülecek",
	"ru": "говорила с {g} {f}, перезвонить через {n} дней|просит доставить матери {g}|не отвечает уже {n} недель|перед оплатой поговорить с {f}",
	"ja": "{f}{g}様より{n}日後に再連絡の依頼|{f}様の母が受け取り希望|{n}週間連絡が取れない|支払い前に{f}様と相談",
	"sv": "pratade med {g} {f}, ring tillbaka om {n} dagar|vill helst hämta hos sin mor {g}|har inte svarat på {n} veckor|prata med {f} före betalning",
}
