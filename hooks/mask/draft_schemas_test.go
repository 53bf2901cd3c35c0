package mask

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// draftSchema is a schema with the columns that a draft must not keep, by the
// masker it must propose ("" for any), and those it must ask a person about.
// Everything else it may keep.
type draftSchema struct {
	tables   map[string]string // name: columns, as for columnOf(), separated by commas
	personal map[string]string // table: column or column=masker
	asks     map[string]string // table: columns
	keeps    map[string]string // table: columns that are plainly harmless
	values   map[string]func(i int) string
}

func pickFrom(list ...string) func(int) string {
	return func(i int) string { return list[i%len(list)] }
}

// draftSchemas are this project's shop and what public sample databases look
// like: a DVD rental (sakila, pagila), a music shop (chinook), a trader
// (northwind) and a bicycle maker (adventure works). Names and types are
// theirs, the rows are made here.
var draftSchemas = map[string]draftSchema{
	"shop": {
		tables: map[string]string{
			"bookings":  "id int8!, stay tstzrange!, address pair!, stops pair[], notice interval, price money!, salary money, search tsvector, doc xml!",
			"users":     "id int8!, email text!, first_name text!, last_name text!, phone varchar(32), birthday date, street text, postcode varchar(10), city text, country bpchar(2)!, password_hash text!, newsletter bool!, prefs jsonb!, created_at timestamptz!",
			"products":  "id int8!, sku text!, name text!, price_cents int4!, tags text[]!",
			"orders":    "id int8!, user_id int8!, status mood!, total_cents int8!, ship_name text!, ship_phone varchar(32), notes text, placed_at timestamptz!",
			"items":     "order_id int8!, line int2!, product_id int8!, quantity int4!, price_cents int4!",
			"events":    "id int8!, user_id int8!, at timestamptz!, kind text!, data jsonb!",
			"audit_log": "id int8!, at timestamptz!, actor text!, detail text!",
		},
		personal: map[string]string{
			"users":     "email=email, first_name=first_name, last_name=last_name, phone=phone, birthday=year_only, street=street, postcode=postcode, city=city, password_hash=credential, prefs=json",
			"orders":    "ship_name=full_name, ship_phone=phone, notes=text",
			"events":    "data=json",
			"audit_log": "actor, detail",
			"bookings":  "address=composite, stops=array, salary=number_noise, search=null, doc=xml",
		},
		asks:  map[string]string{"bookings": "stay, address, stops, notice"},
		keeps: map[string]string{"bookings": "id, price", "users": "id, country, newsletter, created_at", "products": "id, sku, price_cents", "orders": "id, status, total_cents", "items": "quantity, price_cents", "events": "id, at, kind"},
		values: map[string]func(int) string{
			"orders.ship_name": func(i int) string { return givenNames[i%len(givenNames)] + " " + familyNames[i*7%len(familyNames)] },
			"users.prefs": func(i int) string {
				return fmt.Sprintf(`{"theme": "%s", "page_size": 20, "contact": {"email": "p%d@corp.test", "by_mail": true}}`, []string{"dark", "light"}[i%2], i)
			},
			"events.data": func(i int) string {
				return fmt.Sprintf(`{"path": "/p/%d", "ms": %d, "ip": "10.1.2.%d", "contact": {"name": "%s %s", "email": "p%d@corp.test"}}`, i%9, i, i%250, givenNames[i%100], familyNames[i%90], i)
			},
			"events.kind": pickFrom("view", "buy"), "users.country": pickFrom("DE", "GR"),
		},
	},
	"rental": {
		tables: map[string]string{
			"actor":     "actor_id int4!, first_name text!, last_name text!, last_update timestamptz!",
			"address":   "address_id int4!, address text!, address2 text, district text!, city_id int4!, postal_code text, phone text!, last_update timestamptz!",
			"city":      "city_id int4!, city text!, country_id int4!, last_update timestamptz!",
			"country":   "country_id int4!, country text!, last_update timestamptz!",
			"customer":  "customer_id int4!, store_id int4!, first_name text!, last_name text!, email text, address_id int4!, activebool bool!, create_date date!, last_update timestamptz, active int4",
			"staff":     "staff_id int4!, first_name text!, last_name text!, address_id int4!, email text, store_id int4!, active bool!, username text!, password text, last_update timestamptz!, picture bytea",
			"film":      "film_id int4!, title text!, description text, release_year int4, language_id int4!, rental_duration int2!, rental_rate numeric(4,2)!, length int2, replacement_cost numeric(5,2)!, rating mood, last_update timestamptz!, special_features text[], fulltext tsvector!",
			"rental":    "rental_id int4!, rental_date timestamptz!, inventory_id int4!, customer_id int4!, return_date timestamptz, staff_id int4!, last_update timestamptz!",
			"payment":   "payment_id int4!, customer_id int4!, staff_id int4!, rental_id int4!, amount numeric(5,2)!, payment_date timestamptz!",
			"inventory": "inventory_id int4!, film_id int4!, store_id int4!, last_update timestamptz!",
		},
		personal: map[string]string{
			"actor":    "first_name=first_name, last_name=last_name",
			"address":  "address=street, address2=street, district, postal_code=postcode, phone=phone",
			"city":     "city=city",
			"customer": "first_name=first_name, last_name=last_name, email=email",
			"staff":    "first_name=first_name, last_name=last_name, email=email, username=username, password=credential, picture",
		},
		asks:  map[string]string{"film": "fulltext", "customer": "create_date"},
		keeps: map[string]string{"customer": "customer_id, store_id, address_id, activebool", "payment": "amount", "film": "length, rating"},
		values: map[string]func(int) string{
			"address.district": func(i int) string { return cities[i*3%len(cities)] + " county" },
		},
	},
	"music": {
		tables: map[string]string{
			"Customer": "CustomerId int4!, FirstName varchar(40)!, LastName varchar(20)!, Company varchar(80), Address varchar(70), City varchar(40), State varchar(40), Country varchar(40), PostalCode varchar(10), Phone varchar(24), Fax varchar(24), Email varchar(60)!, SupportRepId int4",
			"Employee": "EmployeeId int4!, LastName varchar(20)!, FirstName varchar(20)!, Title varchar(30), ReportsTo int4, BirthDate timestamp, HireDate timestamp, Address varchar(70), City varchar(40), State varchar(40), Country varchar(40), PostalCode varchar(10), Phone varchar(24), Fax varchar(24), Email varchar(60)",
			"Invoice":  "InvoiceId int4!, CustomerId int4!, InvoiceDate timestamp!, BillingAddress varchar(70), BillingCity varchar(40), BillingState varchar(40), BillingCountry varchar(40), BillingPostalCode varchar(10), Total numeric(10,2)!",
			"Artist":   "ArtistId int4!, Name varchar(120)",
			"Track":    "TrackId int4!, Name varchar(200)!, AlbumId int4, Composer varchar(220), Milliseconds int4!, Bytes int4, UnitPrice numeric(10,2)!",
		},
		personal: map[string]string{
			"Customer": "FirstName=first_name, LastName=last_name, Company=company, Address=street, City=city, PostalCode=postcode, Phone=phone, Fax=phone, Email=email",
			"Employee": "FirstName=first_name, LastName=last_name, Title, BirthDate=year_only, Address=street, City=city, PostalCode=postcode, Phone=phone, Fax=phone, Email=email",
			"Invoice":  "BillingAddress=street, BillingCity=city, BillingPostalCode=postcode",
			"Track":    "Composer",
		},
		asks:  map[string]string{"Employee": "HireDate"},
		keeps: map[string]string{"Customer": "CustomerId, Country", "Invoice": "Total", "Track": "UnitPrice, Milliseconds"},
		values: map[string]func(int) string{
			"Customer.Country": pickFrom("Norway", "Chile"), "Customer.State": func(i int) string { return fmt.Sprintf("S%d", i) },
			"Track.Composer": func(i int) string { return fmt.Sprintf("The Band No. %d", i) },
		},
	},
	"trader": {
		tables: map[string]string{
			"customers": "customer_id bpchar!, company_name varchar(40)!, contact_name varchar(30), contact_title varchar(30), address varchar(60), city varchar(15), region varchar(15), postal_code varchar(10), country varchar(15), phone varchar(24), fax varchar(24)",
			"employees": "employee_id int2!, last_name varchar(20)!, first_name varchar(10)!, title varchar(30), title_of_courtesy varchar(25), birth_date date, hire_date date, address varchar(60), city varchar(15), home_phone varchar(24), extension varchar(4), photo bytea, notes text, reports_to int2, photo_path varchar(255)",
			"orders":    "order_id int2!, customer_id bpchar, employee_id int2, order_date date, ship_via int2, freight float4, ship_name varchar(40), ship_address varchar(60), ship_city varchar(15), ship_region varchar(15), ship_postal_code varchar(10), ship_country varchar(15)",
			"suppliers": "supplier_id int2!, company_name varchar(40)!, contact_name varchar(30), contact_title varchar(30), address varchar(60), phone varchar(24), homepage text",
			"shippers":  "shipper_id int2!, company_name varchar(40)!, phone varchar(24)",
			"products":  "product_id int2!, product_name varchar(40)!, quantity_per_unit varchar(20), unit_price float4, units_in_stock int2, discontinued int4!",
		},
		personal: map[string]string{
			"customers": "company_name=company, contact_name=full_name, address=street, city=city, postal_code=postcode, phone=phone, fax=phone",
			"employees": "last_name=last_name, first_name=first_name, birth_date=year_only, address=street, city=city, home_phone=phone, extension, photo, notes=text, photo_path",
			"orders":    "ship_name, ship_address=street, ship_city=city, ship_postal_code=postcode",
			"suppliers": "company_name=company, contact_name=full_name, address=street, phone=phone, homepage=url",
			"shippers":  "company_name=company, phone=phone",
		},
		asks:  map[string]string{"employees": "hire_date"},
		keeps: map[string]string{"employees": "employee_id", "products": "product_id, unit_price"},
		values: map[string]func(int) string{
			"employees.extension": func(i int) string { return fmt.Sprint(4000 + i) },
		},
	},
	"bicycles": {
		tables: map[string]string{
			"person":       "businessentityid int4!, persontype bpchar(2)!, title varchar(8), firstname varchar(50)!, middlename varchar(50), lastname varchar(50)!, suffix varchar(10), emailpromotion int4!, additionalcontactinfo xml, demographics xml, rowguid uuid!, modifieddate timestamp!",
			"emailaddress": "businessentityid int4!, emailaddressid int4!, emailaddress varchar(50), modifieddate timestamp!",
			"personphone":  "businessentityid int4!, phonenumber varchar(25)!, phonenumbertypeid int4!",
			"password":     "businessentityid int4!, passwordhash varchar(128)!, passwordsalt varchar(10)!",
			"creditcard":   "creditcardid int4!, cardtype varchar(50)!, cardnumber varchar(25)!, expmonth int2!, expyear int2!",
			"employee":     "businessentityid int4!, nationalidnumber varchar(15)!, loginid varchar(256)!, jobtitle varchar(50)!, birthdate date!, maritalstatus bpchar(1)!, gender bpchar(1)!, hiredate date!, salariedflag bool!, vacationhours int2!, sickleavehours int2!",
			"address":      "addressid int4!, addressline1 varchar(60)!, addressline2 varchar(60), city varchar(30)!, postalcode varchar(15)!, spatiallocation bytea",
			"payhistory":   "businessentityid int4!, ratechangedate timestamp!, rate numeric!, payfrequency int2!",
			"salesperson":  "businessentityid int4!, salesquota numeric, bonus numeric!, commissionpct numeric!",
		},
		personal: map[string]string{
			"person":       "firstname=first_name, middlename=first_name, lastname=last_name, additionalcontactinfo=xml, demographics=xml",
			"emailaddress": "emailaddress=email",
			"personphone":  "phonenumber=phone",
			"password":     "passwordhash=credential, passwordsalt=credential",
			"creditcard":   "cardnumber=card",
			"employee":     "nationalidnumber=hash, loginid=username, birthdate=year_only, maritalstatus, gender",
			"address":      "addressline1=street, addressline2=street, city=city, postalcode=postcode, spatiallocation",
		},
		asks: map[string]string{"employee": "maritalstatus, gender, hiredate"},
		values: map[string]func(int) string{
			"employee.gender": pickFrom("M", "F"), "employee.maritalstatus": pickFrom("S", "M"),
			"employee.loginid":        func(i int) string { return fmt.Sprintf(`corp\\worker%d`, i) },
			"employee.birthdate":      func(i int) string { return fmt.Sprintf("19%02d-03-04", i%60+30) },
			"creditcard.cardnumber":   func(i int) string { return fmt.Sprintf("3333%010d", i) },
			"personphone.phonenumber": func(i int) string { return fmt.Sprintf("%03d-555-%04d", 200+i, i) },
		},
	},
}

// Columns as public schemas have them (Rails, Django, GitLab, Ghost, Keycloak,
// Stripe, Odoo, registers moved from Oracle), in several languages: what must be
// proposed for them without a sample, "?" where a person must be asked.
var draftNames = map[string]string{
	// Secrets are secrets in any type.
	"users.confirmation_token uuid!": "uuid", "users.apiKey uuid": "uuid", "logins.csrf_token uuid": "uuid", "webhooks.secret uuid!": "uuid",
	"users.token_id uuid": "keep", "users.id uuid!": "keep",
	"cards.security_code text": "credential", "users.verification_code text": "credential", "users.activationCode varchar(10)": "credential",
	"users.recovery_codes text[]": "credential", "cards.cvv varchar(4)": "credential", "users.otp_backup_codes text[]": "credential",
	"products.code text": "text", "orders.promo_code text": "text", "products.type_code text": "text", "orders.source text": "text", "users.plan text": "text",
	"addresses.address_type text": "keep ?", "phones.phoneType text": "keep ?", "users.password_status text": "keep ?", "orders.status text": "keep", "shops.currency text": "keep",
	// Numbers that name somebody are no less personal in numeric and bigint.
	"clients.mobile_number numeric(15)": "null", "clients.phone numeric": "key", "clients.ssn numeric(9)": "null", "clients.account_number numeric(20)": "key",
	"clients.telephone_number int8": "key", "clients.fax_number int8": "key", "clients.contact_no int8": "key", "clients.cc_number int8": "key",
	"clients.social_insurance_number int8": "key", "clients.nhs_number int8": "key", "clients.driver_license_number int8": "key", "clients.tax_number int8": "key",
	"clients.passportNo int8": "key", "clients.cpf int8": "key", "clients.afm int8": "key", "clients.amka int8": "key", "clients.personnummer int8": "key",
	"clients.telefono int8": "key", "clients.handynummer int8": "key", "clients.kinito int8": "key", "clients.msisdn int8": "key", "clients.fax float8": "null",
	"orders.number int8": "keep", "orders.line_number int4": "keep", "orders.card_count int4": "keep", "orders.amount numeric": "keep",
	"users.birth_year int2": "keep ?", "users.year_of_birth int4": "keep ?", "films.year int4": "keep",
	// A person's slug is a name.
	"users.slug text!": "username", "authors.slug varchar(60)": "username", "posts.slug text": "keep",
	// What says much about a person.
	"users.hiv_positive bool": "null ?", "users.is_pregnant bool": "null ?", "users.union_member bool": "null ?", "users.health_status text": "null ?",
	"users.citizenship_status text": "null ?", "users.sexo mood": "null ?", "users.Geschlecht mood": "null ?", "users.genero mood": "null ?", "users.fylo mood": "null ?",
	"users.Konfession mood": "null ?", "users.estado_civil mood": "null ?", "users.familienstand mood": "null ?", "users.staatsangehoerigkeit mood": "null ?",
	"users.nacionalidad mood": "null ?", "users.gender int2": "null ?", "users.party_affiliation mood": "null ?", "users.gender int2!": "{mask: constant, value: 0 ?",
	"users.is_admin bool": "keep", "orders.health mood": "keep", "users.union_id int8": "keep",
	// Born, paid and named in other languages.
	"kunden.Geburtsdatum date": "year_only", "clientes.fecha_nacimiento date": "year_only", "clients.date_de_naissance date": "year_only", "pelates.imerominia_gennisis date": "year_only",
	"kunden.Gehalt numeric": "number_noise", "ergazomenoi.misthos numeric": "number_noise", "employes.salaire numeric(9,2)": "number_noise", "empleados.salario money": "number_noise",
	"kunden.Vorname text": "first_name", "kunden.Nachname text": "last_name", "clients.prenom text": "first_name", "clientes.apellidos text": "last_name", "pelates.eponymo text": "last_name",
	"kunden.Strasse text": "street", "clientes.direccion text": "street", "kunden.PLZ varchar(5)": "postcode", "clients.code_postal text": "postcode",
	"pelates.tilefono varchar(20)": "phone", "kunden.Telefon text": "phone", "clientes.correo text": "email", "clients.ville text": "city",
}

// What a draft makes of columns' names and types.
func TestDraftNames(t *testing.T) {
	t.Parallel()
	for spec, want := range draftNames {
		name, col, _ := strings.Cut(spec, ".")
		c := Catalog{Tables: []Table{tableOf(name, col)}}
		text := string(Draft(c, nil))
		_, line, _ := strings.Cut(text, "    columns:\n")
		m := draftLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			t.Errorf("%s: %s", spec, text)
			continue
		}
		got := strings.TrimPrefix(strings.TrimSuffix(m[2], "}"), "{mask: array, of: ")
		if m[3] != "" {
			got += " ?"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", spec, got, want)
		}
	}
}

var draftLine = regexp.MustCompile(`^      '?"?([A-Za-z_0-9 ]+)"?'?: (.*?)(   # decide.*)?$`)

// A draft has a rule for every column, masks the columns that name people, and
// asks where names, types and values do not tell.
func TestDraftFindsPeople(t *testing.T) {
	t.Parallel()
	for name, schema := range draftSchemas {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, sampled := range []bool{false, true} {
				testDraftSchema(t, schema, sampled)
			}
		})
	}
}

func testDraftSchema(t *testing.T, schema draftSchema, sampled bool) {
	t.Helper()
	var c Catalog
	samples := map[ColumnName]*Sample{}
	for _, name := range sortedKeys(schema.tables) {
		c.Tables = append(c.Tables, tableOf(name, splitNames(schema.tables[name])...))
		for _, col := range c.Tables[len(c.Tables)-1].Columns {
			value := schema.values[name+"."+col.Name]
			if value == nil || !sampled {
				continue
			}
			s := NewSample(col)
			for i := range 200 {
				s.Add([]byte(value(i)))
			}
			samples[ColumnName{"public", name, col.Name}] = s
		}
	}
	text := Draft(c, samples)
	p, err := ParsePolicy(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if _, err := Compile(p, keyOf(t), c); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	rules, marks := map[string]string{}, map[string]bool{}
	at := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if m := regexp.MustCompile(`^  '?(?:public\.)"?([A-Za-z_]+)"?'?:$`).FindStringSubmatch(line); m != nil {
			at = m[1]
		} else if m := draftLine.FindStringSubmatch(line); m != nil {
			rules[at+"."+m[1]] = strings.TrimPrefix(strings.SplitN(m[2], ",", 2)[0], "{mask: ")
			marks[at+"."+m[1]] = m[3] != ""
		}
	}
	for _, tab := range c.Tables {
		for _, col := range tab.Columns {
			if rules[tab.Name+"."+col.Name] == "" {
				t.Errorf("%s.%s has no rule", tab.Name, col.Name)
			}
		}
		for _, want := range splitNames(schema.personal[tab.Name]) {
			column, masker, _ := strings.Cut(want, "=")
			got := rules[tab.Name+"."+column]
			if got == "keep" || masker != "" && got != masker {
				t.Errorf("%s.%s is %q, want %q (sample %v)", tab.Name, column, got, masker, sampled)
			}
		}
		for _, column := range splitNames(schema.asks[tab.Name]) {
			if !marks[tab.Name+"."+column] {
				t.Errorf("%s.%s is %s and nobody is asked (sample %v)", tab.Name, column, rules[tab.Name+"."+column], sampled)
			}
		}
		for _, column := range splitNames(schema.keeps[tab.Name]) {
			// Without values a name that sounds harmless is kept, with a question.
			if rules[tab.Name+"."+column] != "keep" || marks[tab.Name+"."+column] && sampled {
				t.Errorf("%s.%s is %s, want keep without a question (sample %v)", tab.Name, column, rules[tab.Name+"."+column], sampled)
			}
		}
		for column := range marks {
			if strings.HasPrefix(column, tab.Name+".") && rules[column] == "keep" && !marks[column] && slices.Contains(splitNames(schema.personal[tab.Name]), column) {
				t.Errorf("%s is kept without a question", column)
			}
		}
	}
}

func splitNames(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ", ")
}
