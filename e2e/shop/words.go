package shop

var (
	firstNames = []string{
		"Ada", "Aisha", "Amir", "Anna", "Anton", "Beatriz", "Bilal", "Bruno", "Camille", "Carlos",
		"Chiara", "Clara", "Daniel", "Dilara", "Dmitri", "Elena", "Elif", "Emil", "Emma", "Erik",
		"Fatima", "Felix", "Fiona", "Frida", "Greta", "Hana", "Hannah", "Hugo", "Ida", "Ines",
		"Ingrid", "Ivan", "Jakob", "Jana", "João", "Jonas", "Julia", "Kaito", "Karim", "Katya",
		"Lara", "Lars", "Laura", "Leon", "Lina", "Luca", "Magda", "Malik", "Mara", "Marek",
		"Maria", "Mateo", "Maya", "Mei", "Mikkel", "Mina", "Nadia", "Nils", "Noah", "Noor",
		"Olga", "Oskar", "Paula", "Pavel", "Petra", "Priya", "Rafael", "Rosa", "Samir", "Sara",
		"Selin", "Simon", "Sofia", "Søren", "Tariq", "Theo", "Tomás", "Ulla", "Vera", "Victor",
		"Wanda", "Yara", "Yusuf", "Zoë",
	}
	lastNames = []string{
		"Abadi", "Andersen", "Arslan", "Bauer", "Becker", "Berg", "Bianchi", "Braun", "Castro", "Costa",
		"Dahl", "Demir", "Dubois", "Eriksson", "Fernández", "Fischer", "Fontaine", "Garcia", "Grünwald", "Haddad",
		"Hansen", "Hartmann", "Hoffmann", "Horvat", "Ibrahim", "Ivanova", "Jansen", "Jensen", "Kaya", "Keller",
		"Khan", "Klein", "Koch", "Kovač", "Kowalski", "Krüger", "Lange", "Larsen", "Laurent", "Lehmann",
		"Lindqvist", "Lorenz", "Mancini", "Marino", "Martin", "Meyer", "Moreau", "Müller", "Nakamura", "Navarro",
		"Nguyen", "Nielsen", "Novak", "Nowak", "O'Brien", "Oliveira", "Olsen", "Öztürk", "Papadakis", "Patel",
		"Pereira", "Petrov", "Popescu", "Rahman", "Richter", "Ricci", "Rossi", "Roux", "Santos", "Sato",
		"Schäfer", "Schmidt", "Schneider", "Schulz", "Schwarz", "Silva", "Sørensen", "Sokolov", "Suzuki", "Tanaka",
		"Toth", "Vargas", "Vogel", "Wagner", "Weber", "Werner", "Wójcik", "Yılmaz", "Zhang", "Zimmermann",
	}
	mailDomains = []string{
		"fjordpost.example", "kontor.example", "mailwerk.example", "postfach.example", "lettera.example",
		"briefkasten.example", "correio.example", "inbox.example",
	}
	streets = []string{
		"Ahornweg", "Bergstraße", "Birkenallee", "Canal Street", "Domplatz", "Eichenweg", "Gartenstraße",
		"Hafenstraße", "Kirchgasse", "Lindenallee", "Marktplatz", "Mühlenweg", "Nordring", "Parkstraße",
		"Rosenweg", "Rue du Lac", "Schulstraße", "Seestraße", "Talweg", "Via Roma", "Wiesengrund",
	}
	cities = []string{
		"Aarhus", "Basel", "Bergen", "Bologna", "Brno", "Freiburg", "Gdańsk", "Gent", "Graz", "Kiel",
		"Köln", "Leipzig", "Linz", "Lyon", "Malmö", "Nantes", "Porto", "Rostock", "Turku", "Utrecht",
	}
	countries = []string{"DE", "DE", "DE", "AT", "CH", "FR", "IT", "NL", "PL", "SE"}
	goods     = []string{"lamp", "chair", "kettle", "rug", "shelf", "clock", "mug", "desk", "blanket", "vase", "mirror", "stool"}
	materials = []string{"oak", "steel", "linen", "glass", "wool", "clay", "cork", "brass", "ash", "paper"}
	tags      = []string{"new", "sale", "kitchen", "office", "garden", "kids", "handmade", "vegan"}
	statuses  = []string{"new", "paid", "shipped", "shipped", "shipped", "returned"}
	kinds     = []string{"view", "search", "cart", "checkout", "login", "contact"}
	themes    = []string{"light", "dark", "system"}
	remarks   = []string{
		"Please leave it with the neighbour.",
		"Ring twice, the bell is broken.",
		"Gift wrap, and no invoice in the parcel.",
		"The last one arrived damaged\nand was sent back.",
		"Deliver after six\tin the evening.",
		"Cost centre 12\\34, second floor.",
	}
)
