local f(x) = f(x + 1) tailstrict; f(0)
