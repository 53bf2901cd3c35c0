package shop

// Canary is a planted personal value of the raw data. After masking it must be
// nowhere: in no column, file, log or message.
type Canary struct {
	// Where says what kind of place it was planted in, such as
	// public.orders.notes.
	Where string
	Value string
}

// Canaries lists every planted value. They are ASCII, found by a byte search,
// and the same in data of every size and seed.
func Canaries() []Canary {
	return []Canary{
		{"public.users.email", plantedUser.email},
		{"public.users.first_name", plantedUser.first},
		{"public.users.last_name", plantedUser.last},
		{"public.users.phone", plantedUser.phone},
		{"public.users.street", plantedUser.street},
		{"public.users.password_hash", plantedUser.password},
		{"public.users.prefs $.contact.email", plantedUser.prefs},
		{"public.audit_log.detail", plantedUser.audit},
		{"public.orders.ship_name", plantedOrder.name},
		{"public.orders.ship_phone", plantedOrder.phone},
		{"public.orders.notes", "canary-notes-b81c@fjordpost.example"},
		{"public.events.data $.contact.email", plantedEvent.email},
		{"public.events.data $.contact.name", plantedEvent.name},
		{"public.events.data $.session", plantedEvent.session},
	}
}

// CanaryUser is the id of the user who carries canaries. It exists in data of
// every size.
const CanaryUser = 7

// The rows that carry canaries in the other tables.
const (
	canaryOrder = 11
	canaryEvent = 13
)

type userCanary struct{ email, first, last, phone, street, password, prefs, audit string }

type orderCanary struct{ name, phone, notes string }

type eventCanary struct{ email, name, session string }

var (
	plantedUser = userCanary{
		email:    "canary-email-7f3a@fjordpost.example",
		first:    "Canaryfirst7f3a",
		last:     "Canarylast7f3a",
		phone:    "+49 30 23125 987654321",
		street:   "Canarystreet7f3a 17",
		password: "$2y$10$canarypasswordhash7f3a7f3a7f3a7f3a7f3a",
		prefs:    "canary-prefs-2d90@fjordpost.example",
		audit:    "canary-audit-55ee",
	}
	plantedOrder = orderCanary{
		name:  "Canaryship Nameb81c",
		phone: "+49 30 23125 876543219",
		notes: "Write to canary-notes-b81c@fjordpost.example",
	}
	plantedEvent = eventCanary{
		email:   "canary-event-c4d2@fjordpost.example",
		name:    "Canaryevent Namec4d2",
		session: "canarysessionc4d2c4d2c4d2c4d2c4d2",
	}
)

func (*gen) canary(user int) userCanary {
	if user == CanaryUser {
		return plantedUser
	}
	return userCanary{}
}

func (*gen) canaryOrder(id int) orderCanary {
	if id == canaryOrder {
		return plantedOrder
	}
	return orderCanary{}
}

func (*gen) canaryEvent(id int) eventCanary {
	if id == canaryEvent {
		return plantedEvent
	}
	return eventCanary{}
}
